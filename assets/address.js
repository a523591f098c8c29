/* Where the server is: at the top of its host, or below a path (ISCAN_URL_PREFIX). First of the bundle, as all others ask it.
 *
 * Every address that a script asks for, opens or links to is `iscan.address("/its/path")`; addresses that come from the
 * server are whole already. What a browser keeps by name for a whole host is kept under `iscan.own("name")`: two studies
 * below one host must not take each other's for their own. (The theme is the user's, not the study's.)
 */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  // This script is part of a bundle, in a folder of its own at the root.
  const root = new URL("..", document.currentScript.src).pathname;

  /** The address of a path of this server, such as "/annotate/edit" or "/api/v1/status". */
  iscan.address = (path) => root + path.slice(1);

  /** What the page's address has after a path, such as "2" after "/window/plot/"; "" when it does not begin with it. */
  iscan.pageBelow = (path) => {
    const { pathname } = window.location;
    return pathname.startsWith(iscan.address(path)) ? pathname.slice(iscan.address(path).length) : "";
  };

  /** The name, in this browser, of what belongs to this server: a key of its storage, a channel between its windows. */
  iscan.own = (name) => name + root.slice(0, -1);
})();
