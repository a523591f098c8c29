/* Before the first annotation is made, asks what to call the drafts; then goes on with what the user began. */
(() => {
  const iscan = (window.iscan = window.iscan || {});

  /** What makes an annotation: buttons, and the fields in which Enter does. */
  const MAKES = "#new-create, #predict-submit, #enrichment-run, #from-enrichment-create, #import-run, [id*='\"existing-duplicate\"'], .toast-action[data-makes]";
  const ENTERS = "#new-name";

  let begun = null;

  /** Tell whether the form would be refused as it is: what is wrong with it is said first. */
  function isRefused(element) {
    if (["predict-submit", "enrichment-run", "from-enrichment-create"].includes(element.id)) return element.getAttribute("aria-disabled") === "true";
    if (!element.matches(`#new-create, ${ENTERS}`)) return false;
    const says = (id) => document.getElementById(id).textContent.trim();
    const name = document.getElementById("new-name").value;
    return !name.trim() || Boolean(says("new-name-error") || says("new-default-error"));
  }

  function intercept(event, element, goOn) {
    if (!element || element.disabled || !iscan.status || !iscan.status.needs_name || isRefused(element)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    begun = goOn;
    window.dash_clientside.set_props("naming-dialog", { is_open: true });
    setTimeout(() => document.getElementById("naming-name")?.select(), 200);
  }

  window.addEventListener(
    "click",
    (event) => {
      const element = event.target.closest && event.target.closest(MAKES);
      intercept(event, element, () => element.click());
    },
    true
  );
  window.addEventListener(
    "keydown",
    (event) => {
      if (event.key !== "Enter" || !event.target.matches || !event.target.matches(ENTERS)) return;
      intercept(event, event.target, () => document.getElementById("new-create").click());
    },
    true
  );

  function namedDrafts(path) {
    const { triggered } = window.dash_clientside.callback_context;
    if (path && triggered.some((cause) => cause.prop_id === "naming-done.data")) {
      iscan.status.needs_name = false;
      if (begun) setTimeout(begun);
    }
    begun = null;
    return false;
  }

  iscan.naming = { namedDrafts, showDraftName: (name) => name || "" };
})();
