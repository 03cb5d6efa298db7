/** Pictures that are drawn as lines, in the colour of the text around them. */
const PATHS = {
  pending: ['M8 4.5V8l2.5 1.5', 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z'],
  sent: ['M3.5 8.5l3 3 6-7'],
  delivered: ['M1 8.5l3 3 6-7', 'M7.5 11l.6.5 6-7'],
  read: ['M1 8.5l3 3 6-7', 'M7.5 11l.6.5 6-7'],
  failed: ['M8 4v5', 'M8 11.6v.4', 'M8 1.5a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13z'],
  reply: ['M6.5 3.5L2.5 7.5l4 4', 'M2.5 7.5h6a5 5 0 0 1 5 5v.5'],
  forward: ['M9.5 3.5l4 4-4 4', 'M13.5 7.5h-6a5 5 0 0 0-5 5v.5'],
  edit: ['M2.5 13.5l.7-3L10.8 3l2.2 2.2-7.5 7.5z'],
  pin: ['M5.5 2.5h5l-.7 4 2.2 2.5H4l2.2-2.5z', 'M8 9v5'],
  trash: ['M3 4.5h10', 'M6.5 4V2.5h3V4', 'M4.5 4.5l.6 9h5.8l.6-9'],
  undo: ['M5.5 3L2.5 6l3 3', 'M2.5 6h7a4 4 0 0 1 0 8h-3'],
  smile: ['M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z', 'M5.3 9.6a3 3 0 0 0 5.4 0', 'M5.8 6.2v.4', 'M10.2 6.2v.4'],
  more: ['M3.5 8h.01', 'M8 8h.01', 'M12.5 8h.01'],
  mute: ['M4 6a4 4 0 0 1 8 0c0 4 1.5 4.5 1.5 4.5h-11S4 10 4 6', 'M6.8 13a1.3 1.3 0 0 0 2.4 0', 'M2 2l12 12'],
  bell: ['M4 6a4 4 0 0 1 8 0c0 4 1.5 4.5 1.5 4.5h-11S4 10 4 6', 'M6.8 13a1.3 1.3 0 0 0 2.4 0'],
  info: ['M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z', 'M8 7.5v3.5', 'M8 5v.2'],
  gear: ['M8 5.7a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.6z', 'M8 1.8v2', 'M8 12.2v2', 'M1.8 8h2', 'M12.2 8h2', 'M3.6 3.6L5 5', 'M11 11l1.4 1.4', 'M3.6 12.4L5 11', 'M11 5l1.4-1.4'],
  close: ['M4 4l8 8', 'M12 4l-8 8'],
  copy: ['M5.5 5.5h7v8h-7z', 'M10.5 5.5v-3h-7v8h2'],
  clock: ['M8 4.5V8l2.5 1.5', 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8z'],
  eye: ['M1.5 8s2.3-4.5 6.5-4.5S14.5 8 14.5 8 12.2 12.5 8 12.5 1.5 8 1.5 8z', 'M8 6.2a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z'],
};
const SVG = 'http://www.w3.org/2000/svg';

/** @typedef {keyof typeof PATHS} Icon */

/** @param {Icon} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 16 16');
  svg.setAttribute('class', 'glyph');
  svg.setAttribute('aria-hidden', 'true');
  for (const d of PATHS[name]) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', d);
    svg.append(path);
  }
  return svg;
}
