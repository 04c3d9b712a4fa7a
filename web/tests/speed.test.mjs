import assert from "node:assert/strict";
import test from "node:test";
import { load } from "./load.mjs";

const { Meter, secondsLeft, CHART_SECONDS } = await load("lib/speed.ts");
const near = (value, expected, within) => assert.ok(Math.abs(value - expected) <= within, `${value} is not ${expected} ± ${within}`);

test("a steady rate is found at once and kept", () => {
  const meter = new Meter();
  assert.equal(meter.speed, null);
  for (let at = 0; at <= 20; at += 0.25) meter.push({ at, items: at * 40, bytes: at * 1e6 });
  near(meter.speed.items, 40, 0.01);
  near(meter.speed.bytes, 1e6, 1);
});

test("bursts are smoothed, and a standstill is seen", () => {
  const meter = new Meter();
  // 100 images each second second.
  for (let second = 0; second <= 60; second += 1) meter.push({ at: second, items: Math.floor(second / 2) * 100, bytes: 0 });
  near(meter.speed.items, 50, 12);
  const items = 3000;
  for (let second = 61; second <= 90; second += 1) meter.push({ at: second, items, bytes: 0 });
  assert.ok(meter.speed.items < 1, `${meter.speed.items}`);
});

test("counters that went back begin anew, and so does a pause", () => {
  const meter = new Meter();
  meter.push({ at: 0, items: 100, bytes: 0 });
  meter.push({ at: 1, items: 0, bytes: 0 });
  assert.equal(meter.speed, null);
  meter.push({ at: 2, items: 10, bytes: 0 });
  near(meter.speed.items, 10, 0.01);
  meter.rest();
  assert.equal(meter.speed, null);
});

test("the chart counts each image once, in the second it came", () => {
  const meter = new Meter();
  for (let at = 0.3; at < 10; at += 0.35) meter.push({ at, items: at * 7, bytes: 0 });
  const whole = meter.points.slice(1);
  assert.ok(whole.length >= 8);
  for (const point of whole) near(point.items, 7, 0.01);
  for (let at = 10; at < 400; at += 1) meter.push({ at, items: 70 + at, bytes: 0 });
  assert.ok(meter.points.length <= CHART_SECONDS + 1, `${meter.points.length}`);
});

test("time left", () => {
  assert.equal(secondsLeft(100, 10), 10);
  assert.equal(secondsLeft(0, null), 0);
  assert.equal(secondsLeft(5, 0), null);
  assert.equal(secondsLeft(5, null), null);
});
