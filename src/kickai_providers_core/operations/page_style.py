"""The style sheet of the page: light and dark, phone and print, with contrasts of at least 4.5 to 1."""

__all__ = ["STYLE"]

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1c2330; --muted: #566072; --line: #d5dae3; --panel: #f5f7fa;
  --pass: #14693b; --fail: #b3261e; --link: #1a56b0;
  --s1: #2166c4; --s2: #d98512; --s3: #178a6e; --s4: #8b4fc4; --s5: #5d7285; --s6: #c8382e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181f; --text: #e6eaf0; --muted: #a3adbd; --line: #353d4b; --panel: #1d232d;
    --pass: #6fd39b; --fail: #ff9c92; --link: #8ab8ff;
    --s1: #6ea8fe; --s2: #f0ad4e; --s3: #4cc9a6; --s4: #c39bf0; --s5: #9fb0c0; --s6: #ff7b70;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 3rem; max-width: 76rem;
  background: var(--page); color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.25rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .5rem; }
p { margin: 0 0 .75rem; }
a { color: var(--link); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 0; padding: 0; }
nav a { display: inline-block; padding: .25rem 0; }
.muted { color: var(--muted); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem;
  margin: 1.25rem 0 0; }
.tiles div { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { color: var(--muted); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem; margin: 0 0 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: .6rem .8rem; }
th, td { text-align: left; vertical-align: top; padding: .45rem .8rem; border-top: 1px solid var(--line); }
thead th { background: var(--panel); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; overflow-wrap: break-word; min-width: 11rem; max-width: 24rem; }
tbody td:not(.n) { min-width: 7.5rem; } tbody td:last-child:not(.n) { min-width: 12rem; }
th.n, td.n { text-align: right; } td.n { white-space: nowrap; }
.status { font-weight: 700; white-space: nowrap; }
.pass { color: var(--pass); } .fail { color: var(--fail); } .open { color: var(--muted); }
.warnings { border-left: .3rem solid var(--s2); background: var(--panel); padding: .6rem 1rem; margin: 1.25rem 0 0; }
.warnings ul { margin: 0; padding-left: 1.1rem; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 1.25rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1rem; min-width: 0; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .15rem 1rem; margin: 0 0 .5rem; padding: 0;
  font-size: .875rem; overflow-wrap: anywhere; }
.key { display: inline-block; width: .9rem; height: .9rem; border-radius: .15rem; margin-right: .4rem;
  vertical-align: -.1rem; }
.chart { display: grid; grid-template: 11rem auto / auto minmax(0, 1fr); gap: .2rem .5rem;
  font-size: .8rem; color: var(--muted);
  font-variant-numeric: tabular-nums; }
.marks { display: flex; flex-direction: column; justify-content: space-between; text-align: right; margin: -.6em 0;
  white-space: nowrap; }
.times { grid-column: 2; display: flex; justify-content: space-between; gap: .5rem; }
.times span { white-space: nowrap; }
svg { width: 100%; height: 100%; display: block; overflow: visible; }
.grid { stroke: var(--line); stroke-width: 1; vector-effect: non-scaling-stroke; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.line.s2 { stroke-dasharray: 7 4; }
.s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); } .s4 { --c: var(--s4); }
.s5 { --c: var(--s5); } .s6 { --c: var(--s6); }
.bar { fill: var(--c); } .line { stroke: var(--c); } .key { background: var(--c); }
summary { cursor: pointer; padding: .4rem 0; font-size: .9rem; color: var(--link); }
details .scroll { max-height: 22rem; overflow: auto; margin: 0; }
details thead th { position: sticky; top: 0; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .75rem; font-size: .875rem; }
@media (max-width: 36rem) {
  .tiles { grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); }
  .tiles dd { font-size: 1rem; }
  .times span:nth-child(2), .times span:nth-child(3) { display: none; }
}
@media print {
  :root {
    --page: #fff; --text: #000; --muted: #444; --line: #bbb; --panel: #fff;
    --pass: #14693b; --fail: #b3261e; --link: #000;
    --s1: #2166c4; --s2: #d98512; --s3: #178a6e; --s4: #8b4fc4; --s5: #5d7285; --s6: #c8382e;
  }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  nav, details { display: none; }
  .scroll { overflow: visible; border: 0; }
  table { font-size: 8pt; } th, td { padding: .2rem .35rem; }
  tbody th, tbody td:not(.n) { min-width: 0; }
  .minor { display: none; }
  figure, .tiles div, tr, .warnings { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""
