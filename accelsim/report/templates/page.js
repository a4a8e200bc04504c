"use strict";
document.documentElement.classList.add("js");

const find = (query, root = document) => root.querySelector(query);
const every = (query, root = document) => [...root.querySelectorAll(query)];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/* Three significant digits or more, and thousands: as everywhere in accelsim. */
function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < 0.001) return value.toExponential(1);
  if (size < 1) return String(Number(value.toPrecision(3)));
  const digits = Number.isInteger(value) && size < 1e6 ? 0 : size < 10 ? 2 : size < 100 ? 1 : 0;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/* One tip for the page, beside the pointer; it holds text only. */
const tip = {
  show(text, x, y) {
    this.box ??= document.body.appendChild(element("div", { class: "tip", role: "tooltip", hidden: "" }));
    this.box.textContent = text;
    this.box.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    this.box.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - width - 4))}px`;
    this.box.style.top = `${y + height + 20 < innerHeight ? y + 14 : Math.max(4, y - height - 10)}px`;
  },
  hide() {
    if (this.box) this.box.hidden = true;
  },
};

function tips() {
  document.addEventListener("pointermove", (event) => {
    const target = event.target.closest?.("[data-tip]");
    if (target) tip.show(target.dataset.tip, event.clientX, event.clientY);
    else if (!event.target.closest?.("figure.scatter svg")) tip.hide();
  });
  document.addEventListener("keydown", (event) => event.key === "Escape" && tip.hide());
  document.addEventListener("scroll", () => tip.hide(), true);
}

/* Heads of columns are buttons; `sort` gets the column's place and 1 or -1. */
function sortable(head, sort) {
  head.addEventListener("click", (event) => {
    const th = event.target.closest("th[aria-sort]");
    if (!th) return;
    const now = th.getAttribute("aria-sort");
    const first = th.dataset.kind === "text" ? "ascending" : "descending";
    const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    for (const other of every("th[aria-sort]", head)) other.setAttribute("aria-sort", "none");
    th.setAttribute("aria-sort", next);
    sort(th.cellIndex, next === "ascending" ? 1 : -1);
  });
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === null || b === null) return (a === null) - (b === null);
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/* A scatter plot whose points can be brushed, or chosen by the ranges below it. */
class Scatter {
  constructor(figure, data, describe, choose) {
    Object.assign(this, { figure, data, describe, choose });
    this.svg = find("svg", figure);
    const frame = find(".frame", this.svg);
    this.box = Object.fromEntries(["x", "y", "width", "height"].map((key) => [key, Number(frame.getAttribute(key))]));
    this.inputs = every("input[type=number]", figure);
    this.svg.addEventListener("pointerdown", (event) => this.begin(event));
    this.svg.addEventListener("pointermove", (event) => (this.from ? this.drag(event) : this.hover(event)));
    this.svg.addEventListener("pointerup", (event) => this.end(event));
    this.svg.addEventListener("pointercancel", () => this.clear());
    this.svg.addEventListener("pointerleave", () => this.hover(null));
    this.figure.addEventListener("keydown", (event) => event.key === "Escape" && this.clear());
    for (const input of this.inputs) input.addEventListener("change", () => this.typed());
    find("button.clear", figure).addEventListener("click", () => this.clear());
  }

  place(event) {
    return new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
  }

  begin(event) {
    if (event.button) return;
    this.hover(null);
    this.from = this.place(event);
    this.svg.setPointerCapture(event.pointerId);
  }

  drag(event) {
    const to = this.place(event);
    const { x, y, width, height } = this.box;
    const within = (value, low, size) => Math.min(Math.max(value, low), low + size);
    const xs = [within(this.from.x, x, width), within(to.x, x, width)].sort((a, b) => a - b);
    const ys = [within(this.from.y, y, height), within(to.y, y, height)].sort((a, b) => a - b);
    this.mark({ x0: xs[0], x1: xs[1], y0: ys[0], y1: ys[1] });
  }

  end(event) {
    if (!this.from) return;
    const to = this.place(event);
    const moved = Math.hypot(to.x - this.from.x, to.y - this.from.y) > 4;
    this.from = null;
    if (!moved) this.clear();
    else this.finish();
  }

  finish() {
    const { x0, x1, y0, y1 } = this.area;
    const values = [this.value("x", x0), this.value("x", x1), this.value("y", y1), this.value("y", y0)];
    this.inputs.forEach((input, i) => (input.value = Number(values[i].toPrecision(4))));
    this.choose(this.inside, this);
  }

  typed() {
    if (this.inputs.every((input) => input.value === "")) return this.clear();
    const at = (axis, input, other) => (input.value === "" ? other : this.pixel(axis, Number(input.value)));
    const { x, y, width, height } = this.box;
    const [left, right, low, high] = this.inputs;
    this.mark({ x0: at("x", left, x), x1: at("x", right, x + width), y0: at("y", high, y), y1: at("y", low, y + height) });
    this.choose(this.inside, this);
    return undefined;
  }

  clear(quiet = false) {
    this.from = null;
    for (const input of this.inputs) input.value = "";
    find(".brush", this.svg).setAttribute("width", 0);
    find(".picked", this.svg).setAttribute("d", "");
    if (!quiet) this.choose(null, this);
  }

  /* Draw the brush and the points in it. */
  mark(area) {
    this.area = area;
    const { xs, ys, ids } = this.data;
    const rect = { x: area.x0, y: area.y0, width: Math.max(0, area.x1 - area.x0), height: Math.max(0, area.y1 - area.y0) };
    for (const [key, value] of Object.entries(rect)) find(".brush", this.svg).setAttribute(key, value);
    const kept = ids.map((_, i) => i).filter((i) => xs[i] >= area.x0 && xs[i] <= area.x1 && ys[i] >= area.y0 && ys[i] <= area.y1);
    find(".picked", this.svg).setAttribute("d", kept.map((i) => `M${xs[i]} ${ys[i]}h0`).join(""));
    this.inside = kept.map((i) => ids[i]);
  }

  hover(event) {
    const ring = find(".near", this.svg);
    let best = -1;
    if (event) {
      const { xs, ys, ids } = this.data;
      const at = this.place(event);
      let least = 18;
      for (let i = 0; i < ids.length; i++) {
        const far = Math.hypot(xs[i] - at.x, ys[i] - at.y);
        if (far < least) [least, best] = [far, i];
      }
    }
    ring.setAttribute("r", best < 0 ? 0 : 8);
    if (best < 0) return tip.hide();
    ring.setAttribute("cx", this.data.xs[best]);
    ring.setAttribute("cy", this.data.ys[best]);
    return tip.show(this.describe(this.data.ids[best]), event.clientX, event.clientY);
  }

  value(axis, pixel) {
    const { low, high, log } = this.data[axis];
    const part = axis === "x" ? (pixel - this.box.x) / this.box.width : 1 - (pixel - this.box.y) / this.box.height;
    return log ? low * (high / low) ** part : low + (high - low) * part;
  }

  pixel(axis, value) {
    const { low, high, log } = this.data[axis];
    const part = log ? Math.log(Math.max(value, 1e-300) / low) / Math.log(high / low) : (value - low) / (high - low);
    return axis === "x" ? this.box.x + part * this.box.width : this.box.y + (1 - part) * this.box.height;
  }
}

/* A report of one run: the rows stand in the page, the script moves and hides them. */
function layers(table, data) {
  const bodies = [...table.tBodies];
  const filter = find("#filter");
  let chosen = null;
  const key = (body, column) => {
    const { v } = body.rows[0].cells[column].dataset;
    return v === undefined ? body.rows[0].cells[column].textContent : v === "" ? null : Number(v);
  };
  const refresh = () => {
    const words = filter.value.trim().toLowerCase();
    for (const body of bodies) {
      const told = body.dataset.words.toLowerCase().includes(words);
      body.hidden = !(told && (chosen === null || chosen.has(body.id)));
    }
    const shown = bodies.filter((body) => !body.hidden).length;
    find("#count").textContent = `${shown} of ${bodies.length} layers`;
  };
  sortable(table.tHead, (column, direction) => {
    bodies.sort((a, b) => direction * compare(key(a, column), key(b, column)));
    table.append(...bodies);
  });
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button[aria-expanded]");
    if (!button) return;
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", open);
    find(".detail", button.closest("tbody")).classList.toggle("open", open);
  });
  filter.addEventListener("input", refresh);
  find("#stretch").addEventListener("change", (event) => table.classList.toggle("stretch", event.target.checked));
  for (const figure of every("figure.scatter")) {
    const told = (id) => find(`#${id}`).dataset.words;
    new Scatter(figure, data.plots[figure.dataset.plot], told, (ids) => {
      chosen = ids === null ? null : new Set(ids);
      refresh();
    });
  }
  refresh();
}

/* A report of a sweep: the points are data, and the table shows some of them. */
class Points {
  constructor(table, data) {
    Object.assign(this, { table, data, most: 100, order: null, chosen: [] });
    this.plots = every("figure.scatter").map(
      (figure) => new Scatter(figure, data.plots[figure.dataset.plot], (id) => this.describe(id), (ids, plot) => this.select(ids, plot)),
    );
    sortable(table.tHead, (column, direction) => this.sort(column, direction));
    for (const radio of every("input[name=show]")) radio.addEventListener("change", () => this.draw());
    find("#more").addEventListener("click", () => {
      this.most += 400;
      this.draw(true);
    });
    this.draw();
  }

  cell(column, id) {
    const value = column.values[id];
    return value === null ? "" : column.kind === "number" ? number(value) : String(value);
  }

  describe(id) {
    const told = this.data.columns.filter((column) => column.kind !== "bar");
    return told.map((column) => `${column.name}: ${this.cell(column, id)}`).join("\n");
  }

  select(ids, plot) {
    for (const other of this.plots) if (other !== plot) other.clear(true);
    this.chosen = ids ?? [];
    find("#selected").disabled = ids === null;
    find(`input[name=show][value=${ids === null ? "front" : "selected"}]`).checked = true;
    this.draw();
  }

  sort(column, direction) {
    const found = this.data.columns[column];
    this.order = found && ((a, b) => direction * compare(found.values[a], found.values[b]) || a - b);
    this.draw();
  }

  draw(keep = false) {
    if (!keep) this.most = 100;
    const show = find("input[name=show]:checked").value;
    const ids = { front: this.data.front, all: this.data.columns[0].values.map((_, i) => i), selected: this.chosen }[show];
    const sorted = this.order ? [...ids].sort(this.order) : ids;
    const rows = sorted.slice(0, this.most).map((id) => this.row(id));
    this.table.tBodies[0].replaceChildren(...rows);
    find("#count").textContent = `${rows.length.toLocaleString("en-US")} of ${ids.length.toLocaleString("en-US")} points`;
    find("#more").hidden = rows.length === ids.length;
  }

  row(id) {
    const cells = this.data.columns.map((column, i) => {
      const content = column.kind === "bar" ? this.bar(column, id) : this.cell(column, id);
      const attributes = column.kind === "number" ? { class: "n" } : {};
      return element(i ? "td" : "th", i ? attributes : { scope: "row", ...attributes }, content);
    });
    return element("tr", {}, ...cells);
  }

  bar(part, id) {
    const shares = part.values[id];
    const told = part.names.map((name, i) => `${name} ${shares[i] / 10} %`).filter((_, i) => shares[i]);
    const pieces = shares.map((share, i) => element("i", { class: part.looks[i], style: `width:${share / 10}%` }));
    const words = `${part.name}: ${told.join(", ")}`;
    return element("div", { class: "bar room", role: "img", "aria-label": words, "data-tip": words.replaceAll(", ", "\n") }, ...pieces);
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const data = JSON.parse(find("#data").textContent);
  tips();
  if (data.kind === "run") layers(find("#layers"), data);
  else if (find("#points")) new Points(find("#points"), data);
  for (const box of every("input.stretch")) {
    box.addEventListener("change", () => box.closest("section").classList.toggle("stretch", box.checked));
  }
});
