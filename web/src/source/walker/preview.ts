// A small scenario, of which four numbers can be changed.

import type { ServiceImpl } from "@connectrpc/connect";
import type { PreviewService } from "../../gen/orrery/v1alpha1/preview_pb";
import type { Shape } from "./constellation";

const fields = ["planes", "perPlane", "inclination", "height"];

/** add is told of each valid scenario's constellation, by the name of its plan. */
export function preview(first: Shape, add: (plan: string, shape: Shape) => void): ServiceImpl<typeof PreviewService> {
  return {
    getScenario: () => ({ name: "walker.yaml", text: text(first) }),
    getSchema: () => ({ schema: "{}" }),
    complete: (request) => {
      const line = request.text.split("\n")[request.line - 1]?.slice(0, request.column - 1) ?? "";
      const word = /[\w-]*$/.exec(line)![0];
      return {
        fromColumn: request.column - word.length,
        candidates: fields
          .filter((field) => field.startsWith(word))
          .map((field) => ({ label: field, text: `${field}: `, kind: "field", detail: "number", documentation: "" })),
      };
    },
    compile: (request) => {
      const shape: Shape = { ...first };
      const problems: { line: number; column: number; path: string; what: string; right: string }[] = [];
      request.text.split("\n").forEach((line, i) => {
        const [, field, value] = /^\s+(\w+):\s*(\S*)$/.exec(line) ?? [];
        if (!field || !fields.includes(field)) return;
        if (Number(value) > 0) shape[field as keyof Shape] = Number(value);
        else
          problems.push({
            line: i + 1,
            column: line.indexOf(":") + 3,
            path: field,
            what: `${field}: “${value}” is no number above 0`,
            right: "a number such as 11",
          });
      });
      if (problems.length) return { problems };
      const plan = JSON.stringify(shape);
      add(plan, shape);
      return { plan };
    },
  };
}

function text(shape: Shape): string {
  return `apiVersion: orrery.dev/v1alpha1
kind: Scenario
metadata:
  name: walker
spec:
  constellations:
  - name: walker
    walker:
      planes: ${shape.planes}
      perPlane: ${shape.perPlane}
      inclination: ${shape.inclination}
      height: ${shape.height}
`;
}
