// Runs before the first paint, so that a dark console does not flash white. The content policy forbids inline scripts.
(function () {
  var chosen = localStorage.getItem('tandem.theme');
  var dark = chosen === 'dark' || (chosen !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
})();
