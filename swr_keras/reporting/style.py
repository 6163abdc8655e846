"""How a report looks: dark on white at any setting, readable from a phone up."""

STYLE = """
:root { color-scheme: light; }
body { margin: 0; background: #fff; color: #1a1a1a; font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.7em; line-height: 1.2; }
h2 { margin-top: 2em; border-bottom: 2px solid #0072b2; }
h3 { margin: 1.8em 0 0.3em; }
h4 { margin: 1em 0 0.2em; font-weight: normal; }
p, ul { max-width: 75ch; }
a { color: #00548a; }
.links a { margin-right: 1.2em; }
.note, small, figcaption { color: #505050; }
figure { margin: 0.5em 0; overflow-x: auto; }
figcaption { font-size: 0.9em; max-width: 75ch; }
svg { display: block; height: auto; }
svg * { stroke-linejoin: round; stroke-linecap: butt; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.5em 0; font-size: 0.9em; }
th, td { padding: 4px 10px; border-bottom: 1px solid #d9d9d9; vertical-align: top; }
th { text-align: left; vertical-align: bottom; font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
thead .number { min-width: 4.5em; }
.bar { display: inline-block; width: 160px; height: 0.8em; background: #ececec; }
.fill { display: block; height: 100%; background: #0072b2; }
pre { overflow-x: auto; padding: 12px; background: #f4f4f4; font-size: 13px; line-height: 1.4; }
code { overflow-wrap: anywhere; }
.confusion td, .confusion th { border: 1px solid #e4e4e4; padding: 3px 6px; text-align: right; }
.confusion thead th { vertical-align: bottom; text-align: center; }
.confusion thead th:first-child { text-align: right; white-space: normal; width: 6em; }
.confusion thead span { writing-mode: vertical-rl; transform: rotate(180deg); }
.confusion th { font-weight: normal; white-space: nowrap; }
.confusion th:first-child { position: sticky; left: 0; background: #fff; }
@media (max-width: 600px) {
  ul { padding-left: 1.2em; }
  th, td { padding: 3px 5px; }
  table { font-size: 0.8em; }
}
"""
