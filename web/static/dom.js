// Small helpers. Text from outside is only ever set as text, never as markup.

export const $ = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

// Writing equal text would still wake screen readers and the layout.
export function text(node, value) {
  const next = String(value);
  if (node.textContent !== next) node.textContent = next;
}

export function showProblem(box, error) {
  if (!error) {
    box.hidden = true;
    box.replaceChildren();
    return;
  }
  const lines = [element("strong", { textContent: error.title ?? "Something went wrong" })];
  if (error.detail) lines.push(element("span", { textContent: error.detail }));
  if (error.requestId) lines.push(element("small", { textContent: `Request ${error.requestId}` }));
  box.replaceChildren(...lines);
  box.hidden = false;
}
