// Contrast of every text that shows, as WCAG 2.1 reckons it (1.4.3, 1.4.11): returns what is too weak, as
// [ratio, needed, colours, element, words], and how many were looked at.
const read = (words) => {
  const found = /rgba?\(([^)]+)\)/.exec(words);
  if (!found) return null;
  const parts = found[1].split(/[\s,\/]+/).map(Number);
  return [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1];
};
const over = (top, ground) => [0, 1, 2].map((i) => top[i] * top[3] + ground[i] * (1 - top[3])).concat(1);
const light = (colour) => {
  const part = colour.slice(0, 3).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
};
const ratio = (a, b) => {
  const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const white = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18, 1] : [255, 255, 255, 1];
const ground = (element) => {
  const layers = [];
  for (let up = element; up; up = up.parentElement) {
    const colour = read(getComputedStyle(up).backgroundColor);
    if (colour && colour[3] > 0) layers.push(colour);
    if (colour && colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), white);
};
const faded = (element) => {
  let share = 1;
  for (let up = element; up; up = up.parentElement) share *= Number(getComputedStyle(up).opacity);
  return share;
};
const shows = (element) => {
  const box = element.getBoundingClientRect();
  const style = getComputedStyle(element);
  return box.width > 1 && box.height > 1 && style.visibility === "visible" && style.display !== "none";
};
const weak = [];
let looked = 0;
const judge = (element, ink, below, needed, words) => {
  looked += 1;
  const found = ratio(over(ink, below), below);
  if (found < needed) {
    const name = element.tagName + (element.id ? "#" + element.id : "") + "." + element.getAttribute("class");
    weak.push([Number(found.toFixed(2)), needed, ink.join() + " on " + below.join(), name,
      words.trim().slice(0, 60)]);
  }
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || element.closest("script, style, title, desc")) continue;
  if (!shows(element) || element.closest(".hidden-visually")) continue;
  const style = getComputedStyle(element);
  const drawn = element.closest("svg") !== null;
  const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
  const large = !drawn && (size >= 24 || (bold && size >= 18.66));
  let ink = read(drawn ? style.fill : style.color);
  if (!ink) continue;
  ink = [...ink.slice(0, 3), ink[3] * faded(element)];
  // Letters with a rim in a picture are read against the rim.
  const rim = drawn && style.paintOrder.startsWith("stroke") ? read(style.stroke) : null;
  judge(element, ink, rim || ground(element), large ? 3 : 4.5, walker.currentNode.data);
}
for (const element of document.querySelectorAll("input, select, button")) {
  if (!shows(element)) continue;
  const style = getComputedStyle(element), below = ground(element.parentElement);
  if (parseFloat(style.borderTopWidth) && element.type !== "checkbox") {
    judge(element, read(style.borderTopColor), below, 3, "border");
  }
  const hint = element.placeholder ? read(getComputedStyle(element, "::placeholder").color) : null;
  if (hint) judge(element, hint, ground(element), 4.5, element.placeholder);
}
return [weak, looked];
