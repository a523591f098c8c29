/* The Data page: a choice in the grid of columns opens with one click. */
(() => {
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  const TURN = 30; // ms; a list that Enter opens is open by then

  /** The grid shows the editor of a clicked cell with its list closed: that would be one more click. */
  functions.openChoice = () => {
    setTimeout(() => {
      const list = document.querySelector("#data-columns .ag-cell-inline-editing .ag-picker-field-wrapper");
      if (list && list.getAttribute("aria-expanded") !== "true") list.dispatchEvent(new MouseEvent("mousedown", { bubbles: true }));
    }, TURN);
  };
})();
