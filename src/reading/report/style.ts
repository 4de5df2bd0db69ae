/** Text and background colours by element. A test computes the contrast of each pair. */
export interface Palette {
  readonly page: string;
  readonly card: string;
  readonly ink: string;
  readonly muted: string;
  readonly line: string;
  readonly link: string;
  /** What to do. */
  readonly callGround: string;
  readonly callInk: string;
  readonly good: string;
  readonly bad: string;
  /** Grounds and inks by severity, and the marks of the timeline. */
  readonly critical: string;
  readonly criticalInk: string;
  readonly criticalMark: string;
  readonly error: string;
  readonly errorInk: string;
  readonly errorMark: string;
  readonly warning: string;
  readonly warningInk: string;
  readonly warningMark: string;
  readonly notice: string;
  readonly noticeInk: string;
  readonly noticeMark: string;
  readonly info: string;
  readonly infoInk: string;
  readonly infoMark: string;
}

export const LIGHT: Palette = {
  page: '#f4f5f7',
  card: '#ffffff',
  ink: '#171c24',
  muted: '#535d6c',
  line: '#d8dde5',
  link: '#0b4fb3',
  callGround: '#eaf3ec',
  callInk: '#16381f',
  good: '#1b6b34',
  bad: '#9a3412',
  critical: '#b00f2b',
  criticalInk: '#ffffff',
  criticalMark: '#b00f2b',
  error: '#c03f0c',
  errorInk: '#ffffff',
  errorMark: '#d9480f',
  warning: '#fbe19a',
  warningInk: '#4d3300',
  warningMark: '#b87900',
  notice: '#d3e6fb',
  noticeInk: '#0d3a66',
  noticeMark: '#3178c6',
  info: '#e5e8ed',
  infoInk: '#3a424e',
  infoMark: '#7c8696',
};

export const DARK: Palette = {
  page: '#0e1116',
  card: '#171b22',
  ink: '#e7ebf1',
  muted: '#9ba6b5',
  line: '#2c343f',
  link: '#8ab8ff',
  callGround: '#14261a',
  callInk: '#cdebd5',
  good: '#7fd598',
  bad: '#ffb08a',
  critical: '#8a1028',
  criticalInk: '#ffe3e7',
  criticalMark: '#ff5c77',
  error: '#7d3010',
  errorInk: '#ffe4d6',
  errorMark: '#ff8a4c',
  warning: '#5a4400',
  warningInk: '#ffebb0',
  warningMark: '#f2bf3d',
  notice: '#123c60',
  noticeInk: '#d6ebff',
  noticeMark: '#6fb1f5',
  info: '#2b323c',
  infoInk: '#cbd3dd',
  infoMark: '#8c97a7',
};

const properties = (palette: Palette): string =>
  Object.entries(palette)
    .map(([name, colour]) => `--${name}:${String(colour)}`)
    .join(';');

const severity = ['critical', 'error', 'warning', 'notice', 'info']
  .map(
    (name) =>
      `.chip.${name}{background:var(--${name});color:var(--${name}Ink)}.mark.${name}{fill:var(--${name}Mark)}.dot.${name}{background:var(--${name}Mark)}.edge.${name}{border-left-color:var(--${name}Mark)}`,
  )
  .join('\n');

/** The whole style sheet: no image, no font, nothing from elsewhere. */
export const CSS = `
:root{color-scheme:light dark;${properties(LIGHT)}}
@media (prefers-color-scheme:dark){:root{${properties(DARK)}}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%;scroll-padding-top:.75rem}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:anywhere}
main{max-width:64rem;margin:0 auto;padding:1rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.2;margin:.25rem 0 .5rem;letter-spacing:-.01em}
h2{font-size:1.2rem;margin:2.5rem 0 .75rem;letter-spacing:-.005em}
h3{font-size:1rem;margin:0}
p{margin:.4rem 0}
a{color:var(--link);text-underline-offset:.15em}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.85em}
pre{white-space:pre-wrap;margin:.5rem 0 0;padding:.6rem .7rem;background:var(--page);border:1px solid var(--line);border-radius:6px}
.kicker,.muted,figcaption,.app,.skipped,time{color:var(--muted)}
figcaption{font-size:.85rem;margin-bottom:.5rem}
.kicker{margin:0;font-size:.85rem}
header .lead{font-size:1.1rem;margin:.6rem 0 .2rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem;margin:.75rem 0}
.edge{border-left-width:5px}
.row{display:flex;flex-wrap:wrap;gap:.35rem .6rem;align-items:baseline}
.chip{display:inline-block;border-radius:5px;padding:.05rem .45rem;font-size:.75rem;font-weight:650;letter-spacing:.03em;text-transform:uppercase;white-space:nowrap}
.chip b{font-weight:750}
.count{font-weight:650;font-variant-numeric:tabular-nums}
time,.num{font-variant-numeric:tabular-nums}
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;margin:.75rem 0 0;padding:.6rem 0;border-block:1px solid var(--line)}
nav a{display:inline-block;padding:.3rem 0}
dl{display:grid;grid-template-columns:minmax(6rem,max-content) 1fr;gap:.3rem 1rem;margin:.9rem 0 0;padding-top:.9rem;border-top:1px solid var(--line)}
dt{color:var(--muted)}
dd{margin:0;min-width:0}
ul.checks{list-style:none;margin:0;padding:0}
.caution b{color:var(--bad);margin-right:.15rem}
header p{margin:.35rem 0}
ul.checks li{padding:.2rem 0 .2rem 1.6rem;position:relative}
ul.checks li b:first-child{position:absolute;left:0;width:1.2rem;text-align:center}
.good b:first-child{color:var(--good)}
.bad b:first-child{color:var(--bad)}
.call{background:var(--callGround);color:var(--callInk);border-radius:8px;padding:.6rem .8rem;margin:.7rem 0 .3rem}
.call>b{display:block;font-size:.8rem;letter-spacing:.03em;text-transform:uppercase}
.call ol{margin:.2rem 0;padding-left:1.4rem}
.steps{margin:.3rem 0;padding-left:1.4rem}
.steps li{margin:.35rem 0}
.fact{margin:.25rem 0}
.meta{font-size:.85rem;color:var(--muted);margin-top:.5rem}
.tag{display:inline-block;border:1px solid var(--line);border-radius:5px;padding:0 .4rem;margin:.15rem .15rem 0 0}
figure{margin:0}
.lane{padding:.45rem 0 .2rem;border-top:1px solid var(--line)}
.lane .row{font-size:.85rem;flex-wrap:nowrap}
.lane .name{flex:1 1 auto;min-width:0}
.lane .count{white-space:nowrap}
svg{display:block;width:100%;overflow:visible}
svg text{fill:var(--muted);font-size:11px;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line);stroke-width:1}
.base{stroke:var(--muted);stroke-width:1;opacity:.5}
.mark{stroke:var(--card);stroke-width:1.5}
svg a:focus .mark,svg a:hover .mark{stroke:var(--ink)}
.tree,.tree ul{list-style:none;margin:0;padding:0}
.tree ul{margin-left:.5rem}
.tree li{position:relative;padding:.25rem 0 .25rem 1.1rem}
.tree ul>li:before{content:"";position:absolute;left:0;top:0;bottom:0;border-left:2px solid var(--line)}
.tree ul>li:last-child:before{bottom:auto;height:1.15rem}
.tree ul>li:after{content:"";position:absolute;left:0;top:1.1rem;width:.8rem;border-top:2px solid var(--line)}
.tree>li{padding-left:0}
.tree ul.deep{margin-left:0}
.proc{display:inline-flex;flex-wrap:wrap;gap:.15rem .5rem;align-items:baseline;max-width:100%}
.proc .name{font-weight:650}
.proc code{color:var(--muted)}
.hits{list-style:none;margin:.15rem 0 .1rem;padding:0;font-size:.9rem}
.tree .hits li{padding:.05rem 0}
.tree .hits li:before,.tree .hits li:after{content:none}
.dot{display:inline-block;width:.6rem;height:.6rem;border-radius:50%;margin-right:.4rem}
.origin{font-size:.85rem;color:var(--muted)}
.story{margin:0;padding:0;list-style:none}
.hit{background:var(--card);border:1px solid var(--line);border-radius:8px;border-left-width:5px;padding:.55rem .75rem;margin:.5rem 0;scroll-margin-top:.75rem}
.hit:target{outline:3px solid var(--link)}
.hit .what{margin:.25rem 0 0}
.hit time,.hits time{font-size:.85rem}
.like{font-size:.85rem;color:var(--muted)}
.app,.skipped{font-size:.85rem;margin:0;padding:.1rem 0 .1rem .75rem;border-left:3px solid var(--line)}
.app b{color:var(--bad);font-weight:650}
.skipped{font-style:italic}
summary{cursor:pointer;padding:.2rem 0}
.hit summary,.same>summary{font-size:.85rem;color:var(--muted)}
.same>summary{padding:.35rem .75rem}
section.rule summary{padding:0}
ul.notices{margin:.2rem 0 0;padding-left:1.2rem;font-size:.85rem}
#reading+.card ul{margin:0;padding-left:1.2rem}
#reading+.card li{margin:.35rem 0}
.nowrap{white-space:nowrap}
footer{margin-top:3rem;padding-top:1rem;border-top:1px solid var(--line);font-size:.85rem;color:var(--muted)}
${severity}
@media (max-width:30rem){main{padding:.75rem .75rem 3rem}h1{font-size:1.35rem}.card{padding:.75rem .8rem}dl{gap:.25rem .75rem}.tree ul{margin-left:.25rem}.tree li{padding-left:.9rem}.tree>li{padding-left:0}.tree ul>li:after{width:.6rem}}
@media print{:root{${properties(LIGHT)}}body{font-size:11pt}.card,.hit{break-inside:avoid}nav{display:none}}
`;
