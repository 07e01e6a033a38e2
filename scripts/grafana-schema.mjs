// Writes a TypeScript file in which each part of the dashboards is a constant of the type that Grafana has for it.
// usage: grafana-schema.mjs OUT DASHBOARD…

import fs from "node:fs";

const [out, ...files] = process.argv.slice(2);
const TYPES = "./node_modules/@grafana/schema/dist/types/raw";
const kinds = new Set();
let parts = "", count = 0;

const part = (type, value) => (parts += `export const part${count++}: Literal<${type}> = ${JSON.stringify(value)};\n`);

for (const file of files) {
  const { panels, annotations, templating, ...dashboard } = JSON.parse(fs.readFileSync(file));
  part(`Omit<Dashboard, "panels" | "annotations" | "templating">`, dashboard);
  // What only queries of Prometheus have, the types of all data sources do not name.
  for (const { expr, titleFormat, step, ...one } of annotations.list) part("AnnotationQuery", one);
  for (const { definition, ...one } of templating.list) part("VariableModel", one);
  for (const panel of panels) {
    if (panel.type === "row") {
      part("RowPanel", panel);
      continue;
    }
    kinds.add(panel.type);
    const { options, fieldConfig, ...rest } = panel;
    const { custom, ...defaults } = fieldConfig.defaults;
    part(`Omit<Panel, "options" | "fieldConfig">`, rest);
    part(`NonNullable<Panel["fieldConfig"]>`, { ...fieldConfig, defaults });
    part(`${panel.type}.Options`, options);
    if (Object.keys(custom).length > 0) part(`Partial<${panel.type}.FieldConfig>`, custom);
  }
}

const imports = [
  `import type { AnnotationQuery, Dashboard, Panel, RowPanel, VariableModel } from "${TYPES}/dashboard/x/types.gen";`,
  ...[...kinds].map((kind) => `import type * as ${kind} from "${TYPES}/composable/${kind}/panelcfg/x/types.gen";`),
];
// Enums by their values, as they stand in JSON.
const literal = "type Literal<T> = T extends string ? `${T}` : T extends Array<infer U> ? Array<Literal<U>> : " +
  "T extends object ? { [K in keyof T]: Literal<T[K]> } : T;";
fs.writeFileSync(out, `${imports.join("\n")}\n${literal}\n${parts}`);
