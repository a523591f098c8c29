/**
 * Reads the arrays of the first plot, which the page's head asks for, before anything is there to draw them.
 */
(function () {
  'use strict';
  const { points, codes } = window.iscan.scatterData;
  const read = { points, codes };
  for (const link of document.querySelectorAll('link[data-first]')) {
    // whoever draws asks again, and says so when it fails
    read[link.dataset.first](link.getAttribute('href'), new AbortController().signal).catch(() => {});
  }
})();
