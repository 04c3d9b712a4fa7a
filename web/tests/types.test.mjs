// What the page expects of answers (src/api/types.ts) against what the API says of itself. The types are
// written by hand, so that each says what the page uses and nothing else.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { root } from "./load.mjs";

const { schemas } = JSON.parse(readFileSync(join(root, "../gateway/openapi.json"), "utf8")).components;

/** Where a type of the page has another name than its schema. */
const NAMED = {
  FailedItem: "FailedEntry",
  Item: "EntrySummary",
  ItemDetail: "Entry",
  ItemEvent: "EntryStep",
  ItemPage: "EntryPage",
  FleetMember: "Member",
  BulkReport: "Commanded",
  DeleteReport: "Queued",
};

/** `export interface` blocks: each a list of fields. */
function interfaces(source) {
  const found = new Map();
  for (const [, name, parent, body] of source.matchAll(/^export interface (\w+)(?:<\w+>)?(?: extends (\w+))? \{\n(.*?)^\}/gms)) {
    const fields = [...body.matchAll(/^ {2}(\w+)(\??): (.*);$/gm)].map(([, field, optional, type]) => ({ field, optional: optional === "?", type }));
    found.set(name, { parent, fields });
  }
  return found;
}

/** The schema with its parts put together. */
function whole(schema) {
  if (schema.$ref) return whole(schemas[schema.$ref.split("/").pop()]);
  const parts = (schema.allOf ?? []).map(whole);
  return {
    properties: Object.assign({}, ...parts.map((part) => part.properties), schema.properties),
    required: [...parts.flatMap((part) => part.required), ...(schema.required ?? [])],
  };
}

const nullable = (schema) => [schema.type].flat().includes("null") || (schema.oneOf ?? []).some((each) => each.type === "null");

/** The kind of a value, as far as both sides tell. */
function kind(schema) {
  if (schema.$ref) return kind(schemas[schema.$ref.split("/").pop()]);
  const some = schema.oneOf?.find((each) => each.type !== "null");
  if (some) return kind(some);
  const type = [schema.type].flat().find((each) => each !== "null");
  return type === "integer" ? "number" : (type ?? "object");
}
function kindOf(type) {
  const some = type.replace(/ \| null$/, "");
  if (some.endsWith("[]")) return "array";
  return /^(string|number|boolean)$/.test(some) ? some : /^(ImportStatus|ItemState|Provider)$|^"/.test(some) ? "string" : "object";
}

test("the page expects what the API says it answers", () => {
  const source = readFileSync(join(root, "src/api/types.ts"), "utf8");
  const all = interfaces(source);
  assert.equal(all.size, (source.match(/^export interface/gm) ?? []).length, "an interface was not understood");
  const wrong = [];
  let compared = 0;
  for (const [name, { fields }] of all) {
    const schema = schemas[NAMED[name] ?? name];
    assert.ok(schema, `${name}: the API knows no such schema`);
    const { properties, required } = whole(schema);
    for (const { field, optional, type } of fields) {
      compared += 1;
      const known = properties[field];
      const must = required.includes(field);
      if (!known) wrong.push(`${name}.${field} is not in the answer`);
      else if (optional === must) wrong.push(`${name}.${field} is ${must ? "always" : "not always"} there`);
      else if (nullable(known) !== type.endsWith(" | null") && !optional) wrong.push(`${name}.${field} may ${nullable(known) ? "" : "not "}be null`);
      else if (kind(known) !== kindOf(type) && type !== "T[]") wrong.push(`${name}.${field} is a ${kind(known)}, not ${type}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared > 100, `${compared} fields were compared`);
});
