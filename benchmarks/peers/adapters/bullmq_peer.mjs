// BullMQ: `node bullmq_peer.mjs work` is a worker process, without `work` the submitting process.

import { openSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { performance } from "node:perf_hooks";

const { BENCH_CONCURRENCY, BENCH_FLOW_WIDTH, BENCH_MODULES, BENCH_REDIS_URL, BENCH_TALLY } = process.env;
const { FlowProducer, Queue, Worker } = createRequire(`${BENCH_MODULES}/`)("bullmq");

const PAYLOAD = "x".repeat(198);
const IO_MS = 10;
const BULK = 100; // as in BullMQ's own benchmark
const FLOW_WIDTH = Number(BENCH_FLOW_WIDTH);
const FLOWS = 10; // in one call
const QUEUE = "bench";
const MANY = 100_000; // as in jobs.py
const HELD_AT_ONCE = 10;

const address = new URL(BENCH_REDIS_URL);
const connection = { host: address.hostname, port: Number(address.port), maxRetriesPerRequest: null };

// The same line to the driver as tally.py. Node cannot map a file, so the count is kept here and written out at
// most once a millisecond: it costs no more than there.
class Tally {
  constructor() {
    this.slots = new BigUint64Array(2);
    this.bytes = new Uint8Array(this.slots.buffer);
    this.file = openSync(`${BENCH_TALLY}/${process.pid}`, "w+");
    this.count = 0;
    this.scheduled = false;
    this.write = this.write.bind(this);
    this.write();
  }

  enter() {
    this.line = connect(`${BENCH_TALLY}/turnstile`);
    this.line.setNoDelay(true);
    this.line.write(number(process.pid));
    return new Promise((resolve) => this.line.once("data", resolve));
  }

  done() {
    this.last = process.hrtime.bigint();
    this.count++;
    if (!this.scheduled) {
      this.scheduled = true;
      setTimeout(this.write, 1);
    }
  }

  write() {
    this.scheduled = false;
    this.slots[0] = BigInt(this.count);
    this.slots[1] = this.last ?? 0n;
    writeSync(this.file, this.bytes, 0, this.bytes.length, 0);
  }

  stamped(sent) {
    this.line.write(number(process.hrtime.bigint() - BigInt(sent)));
  }
}

function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

async function work() {
  const tally = new Tally();
  const handlers = {
    noop: async () => tally.done(),
    io: async () => {
      await new Promise((resolve) => setTimeout(resolve, IO_MS));
      tally.done();
    },
    flow: async () => tally.done(),
    limited: async () => tally.done(),
    rated: async () => tally.done(),
    held: async () => {
      await new Promise((resolve) => setTimeout(resolve, IO_MS));
      tally.done();
    },
    stamp: async (job) => tally.stamped(job.data.sent),
  };
  const options = { connection, concurrency: Number(BENCH_CONCURRENCY), autorun: false };
  const worker = new Worker(QUEUE, (job) => handlers[job.name](job), {
    ...options,
    removeOnComplete: { count: 0 },
  });
  worker.on("error", (error) => console.error(error));
  process.once("SIGTERM", () => process.exit(0));
  await worker.waitUntilReady();
  await tally.enter();
  await worker.run();
}

async function submit() {
  const queue = new Queue(QUEUE, { connection });
  const flows = new FlowProducer({ connection });
  await Promise.all([queue.waitUntilReady(), flows.waitUntilReady()]);
  answer({});
  for await (const line of createInterface({ input: process.stdin })) {
    const [job, count] = JSON.parse(line);
    const begun = performance.now();
    const cpu = process.cpuUsage();
    if (job === "stamp") await queue.add("stamp", { sent: String(process.hrtime.bigint()) });
    else if (job === "flow") await fillFlows(flows, count / (FLOW_WIDTH + 1));
    else await fill(queue, job, count);
    const { user, system } = process.cpuUsage(cpu);
    answer({ took_s: (performance.now() - begun) / 1e3, cpu_s: (user + system) / 1e6 });
  }
  process.exit(0);
}

async function fill(queue, name, count) {
  if (name === "limited") await queue.setGlobalConcurrency(MANY);
  if (name === "rated") await queue.setGlobalRateLimit(MANY, 1000);
  if (name === "held") await queue.setGlobalConcurrency(HELD_AT_ONCE);
  for (let start = 0; start < count; start += BULK) {
    const size = Math.min(BULK, count - start);
    await queue.addBulk(Array.from({ length: size }, () => ({ name, data: PAYLOAD })));
  }
}

async function fillFlows(flows, count) {
  const one = { name: "flow", queueName: QUEUE, data: PAYLOAD };
  const flow = { ...one, children: Array(FLOW_WIDTH).fill(one) };
  for (let start = 0; start < count; start += FLOWS) {
    await flows.addBulk(Array(Math.min(FLOWS, count - start)).fill(flow));
  }
}

function answer(figures) {
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

await (process.argv.includes("work") ? work() : submit());
