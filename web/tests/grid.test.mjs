import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./load.mjs";

const { grid, scrolled, placeOf, visible, MAX_HEIGHT } = await load("lib/grid.ts");
const VIEW = 800;

test("few images: the grid is as tall as it is", () => {
  const layout = grid(95, 1000, 152, 8);
  assert.equal(layout.columns, 6);
  assert.equal(layout.rows, 16);
  assert.equal(layout.realHeight, layout.height);
  assert.deepEqual(scrolled(layout, VIEW, { real: 0, offset: 0 }, 500), { real: 500, offset: 0 });
  assert.deepEqual(visible(layout, 95, 0, VIEW, 0), { first: 0, end: 30 });
  assert.equal(visible(layout, 95, layout.height - VIEW, VIEW, 2).end, 95);
  assert.deepEqual(visible(grid(0, 1000, 152, 8), 0, 0, VIEW, 2), { first: 0, end: 0 });
});

test("a million images on a phone: every one can be reached, and no step skips any", () => {
  const items = 1_000_000;
  const layout = grid(items, 300, 92, 8);
  assert.equal(layout.realHeight, MAX_HEIGHT);
  assert.ok(layout.height > 3 * MAX_HEIGHT);
  const end = scrolled(layout, VIEW, { real: 0, offset: 0 }, layout.realHeight - VIEW);
  assert.equal(visible(layout, items, end.real + end.offset, VIEW, 0).end, items);

  // Wheel steps move by what they say, wherever they start.
  let at = scrolled(layout, VIEW, { real: 0, offset: 0 }, 4_000_000);
  const start = at.real + at.offset;
  for (let step = 1; step <= 50; step += 1) {
    const next = scrolled(layout, VIEW, at, at.real + 120);
    assert.ok(Math.abs(next.real + next.offset - (at.real + at.offset) - 120) < 1e-6);
    at = next;
  }
  // At rest the scrollbar is put right, and the same images stay in view.
  const rest = placeOf(layout, VIEW, at.real + at.offset);
  assert.ok(Math.abs(rest.real + rest.offset - (start + 6000)) < 1e-3);
  const again = scrolled(layout, VIEW, rest, rest.real);
  assert.deepEqual(again, rest);

  // Back at the top, the first image is there.
  assert.equal(scrolled(layout, VIEW, at, 0).offset, 0);
});
