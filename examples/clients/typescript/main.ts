// Submits jobs with a client that openapi-typescript has generated. To run it:
//   npm install && npm run generate && npm run build && npm start
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Job = components["schemas"]["Job"];
type Submission = components["schemas"]["Submission"];

const api = createClient<paths>({ baseUrl: process.env["MILLSTREAM_URL"] ?? "http://127.0.0.1:8080" });

/** Submit a job and wait for its end, 30 seconds at most. A repetition has the same key, so it makes no second job. */
async function submit(body: Submission): Promise<Job> {
  const header = { "Idempotency-Key": crypto.randomUUID(), Prefer: "wait=30" };
  for (;;) {
    const { data, error, response } = await api.POST("/v1/jobs", { body, params: { header } });
    if (data) return data;
    if (response.status !== 503) throw new Error(`${error.title}: ${error.detail}`);
    const seconds = Number(response.headers.get("Retry-After") ?? 1);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  }
}

const report = await submit({ type: "report.generate", payload: { rows: [{ city: "Oslo", sold: 3 }], format: "csv" } });
console.log(`${report.type} ${report.state} at ${report.finished_at}`);

const poison = await submit({ type: "demo.poison", max_attempts: 1 });
console.log(`${poison.type} ${poison.state}: ${poison.error?.message}`);

const read = await api.GET("/v1/jobs/{job_id}", { params: { path: { job_id: poison.id }, query: { wait: 1 } } });
const list = await api.GET("/v1/dead", { params: { query: { type: poison.type, limit: 100 } } });
console.log(`read ${read.data?.state}, listed ${list.data?.items.some((letter) => letter.id === poison.id)}`);

const redriven = await api.POST("/v1/dead/redrive", { body: { ids: [poison.id] } });
console.log(`redriven ${redriven.data?.done}`);
