// What scrolls can be scrolled with the keyboard, and the buttons of a piece of code are no landmark of their own.
function reach() {
  for (const area of document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code, table.dataframe"))
    if (area.scrollWidth > area.clientWidth || area.scrollHeight > area.clientHeight) area.tabIndex = 0;
  for (const buttons of document.querySelectorAll(".md-code__nav")) buttons.setAttribute("role", "none");
}
addEventListener("load", () => {
  reach();
  new MutationObserver(reach).observe(document.body, { childList: true, subtree: true });
});
addEventListener("resize", reach);
