// The reference of the HTTP API, made from the document that the server itself serves.

/** An element with attributes and children; text is never read as HTML. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** What `$ref` points to. */
function resolve(api, schema) {
  const name = schema?.$ref?.split("/").pop();
  return name ? api.components.schemas[name] : schema;
}

/** A schema in a few words. */
function words(api, schema, depth = 0) {
  const name = schema?.$ref?.split("/").pop();
  const form = resolve(api, schema);
  if (form === true || form === undefined) return "any JSON";
  if (form.enum) return form.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (form.const !== undefined) return JSON.stringify(form.const);
  if (form.type === "array") return `list of ${words(api, form.items, depth + 1)}`;
  if (form.anyOf && !form.properties) {
    const parts = form.anyOf.map((part) => words(api, part, depth + 1));
    return [...new Set(parts)].filter((part) => part !== "null").join(" or ");
  }
  return name ?? form.type ?? "any JSON";
}

function fields(api, schema) {
  const form = resolve(api, schema);
  if (!form?.properties) return element("p", { class: "quiet" }, words(api, schema));
  const rows = Object.entries(form.properties).map(([name, field]) => {
    const must = form.required?.includes(name);
    return element(
      "tr",
      {},
      element("td", {}, element("code", {}, name), must ? "" : " (optional)"),
      element("td", {}, words(api, field)),
      element("td", { class: "quiet" }, resolve(api, field)?.description ?? ""),
    );
  });
  return rows.length
    ? element("table", {}, element("tbody", {}, ...rows))
    : element("p", { class: "quiet" }, "{}");
}

/** Something that fits, for the example. */
function sample(api, schema, depth = 0) {
  const form = resolve(api, schema);
  if (form === true || !form || depth > 4) return "Hello";
  if (form.examples) return form.examples[0];
  if (form.enum) return form.enum[0];
  if (form.type === "object" || form.properties) {
    const names = (form.required ?? []).filter((name) => form.properties?.[name]);
    return Object.fromEntries(
      names.map((name) => [name, sample(api, form.properties[name], depth + 1)]),
    );
  }
  if (form.anyOf) return sample(api, form.anyOf[0], depth + 1);
  if (form.type === "array") return [sample(api, form.items, depth + 1)];
  if (form.type === "integer" || form.type === "number") return form.minimum ?? 1;
  if (form.type === "boolean") return true;
  return form.type === "string" ? "text" : "Hello";
}

function example(api, verb, path, operation) {
  const address = path.replace(/\{(\w+)\}/g, (_, name) => {
    const part = operation.parameters.find((found) => found.name === name);
    const value = sample(api, part?.schema);
    return value === "text" ? name : value;
  });
  const lines = [`curl -X ${verb} ${location.origin}${address}`, `-H "Authorization: Bearer $KEY"`];
  const schema = operation.requestBody?.content["application/json"].schema;
  if (schema) {
    lines.push("-H 'Content-Type: application/json'");
    lines.push(`-d '${JSON.stringify(sample(api, schema))}'`);
  }
  return lines.join(" \\\n  ");
}

function parameters(api, operation) {
  const rows = operation.parameters.map((part) =>
    element(
      "tr",
      {},
      element("td", {}, element("code", {}, part.name)),
      element("td", {}, part.in),
      element("td", {}, words(api, part.schema)),
      element(
        "td",
        { class: "quiet" },
        part.description ?? resolve(api, part.schema)?.description ?? "",
      ),
    ),
  );
  return element("table", {}, element("tbody", {}, ...rows));
}

function section(api, verb, path, operation) {
  const made = element(
    "section",
    { id: operation.operationId },
    element("h3", {}, element("span", { class: "verb" }, verb), element("code", {}, path)),
    element("p", {}, operation.description),
  );
  if (operation.parameters.length) made.append(parameters(api, operation));
  const schema = operation.requestBody?.content["application/json"].schema;
  if (schema) made.append(element("h4", {}, "Body"), fields(api, schema));
  const answer = operation.responses["200"].content["application/json"].schema;
  made.append(
    element("h4", {}, "Answer"),
    fields(api, answer),
    element("h4", {}, "Example"),
    element("pre", { tabindex: "0" }, element("code", {}, example(api, verb, path, operation))),
  );
  return made;
}

function show(api) {
  document.getElementById("about").textContent = api.info.description;
  const sections = [];
  const links = [];
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const verb = method.toUpperCase();
      sections.push(section(api, verb, path, operation));
      const link = element("a", { href: `#${operation.operationId}` }, operation.summary);
      links.push(element("li", {}, link));
    }
  }
  document.getElementById("operations").replaceChildren(...sections);
  document.getElementById("contents").replaceChildren(element("ul", {}, ...links));
  // The sections were not there yet when the browser looked for the one in the address.
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

const answer = await fetch("/api/v1/openapi.json");
if (answer.ok) show(await answer.json());
else document.getElementById("operations").textContent = "The document cannot be read.";
