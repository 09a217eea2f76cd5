// Two small ways to write the document.

/** A new element with properties and children. */
export function made(tag, properties, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/** The element with an id. */
export function byId(id) {
  return document.getElementById(id);
}
