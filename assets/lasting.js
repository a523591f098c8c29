/* A banner for what does not pass by itself; while it is shown it is the only one, and the page below, of which the server
 * would refuse everything, stands still.
 */
(() => {
  const iscan = (window.iscan = window.iscan || {});
  let banner = null;

  /**
   * @param {string} text          what happened, and what to do
   * @param {HTMLElement} control  does it
   */
  function show(text, control) {
    if (banner && banner.firstChild.textContent === text) return;
    hide();
    banner = Object.assign(document.createElement("div"), { className: "banner lasting" });
    banner.setAttribute("role", "alert");
    banner.append(Object.assign(document.createElement("span"), { textContent: text }), control);
    const bar = document.querySelector(".topbar");
    if (bar) bar.after(banner);
    else document.body.prepend(banner);
    stand(true);
  }

  function stand(still) {
    const areas = document.querySelector(".areas");
    if (areas) areas.inert = still;
  }

  function hide() {
    banner?.remove();
    banner = null;
    stand(false);
  }

  iscan.lasting = { show, hide };
})();
