/* The theme is set before anything is drawn, so that a dark page never flashes white. */
(() => {
  const KEY = "iscan-theme";
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const iscan = (window.iscan = window.iscan || {});

  /** The user's choice: "light", "dark" or "system". */
  function choice() {
    try {
      return localStorage.getItem(KEY) || "system";
    } catch {
      return iscan.themeInMemory || "system";
    }
  }

  function apply() {
    const dark = choice() === "dark" || (choice() === "system" && prefersDark.matches);
    document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
  }

  /** Go on to the next theme and return it. */
  function next() {
    const order = ["system", "light", "dark"];
    const chosen = order[(order.indexOf(choice()) + 1) % order.length];
    iscan.themeInMemory = chosen;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {
      // A browser that refuses storage keeps the choice until the page is closed.
    }
    apply();
    return chosen;
  }

  iscan.theme = { choice, next };
  prefersDark.addEventListener("change", apply);
  apply();
})();
