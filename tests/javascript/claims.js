import { randomUUID } from "node:crypto";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { CoordinatorService } from "./gen/coordinator/v1/service_pb.js";
import { ErrorDetailSchema, Outcome } from "./gen/coordinator/v1/types_pb.js";

const client = createClient(CoordinatorService, createConnectTransport({
  baseUrl: process.env.COORDINATION_HTTP ?? "http://127.0.0.1:7421",
  httpVersion: "1.1",
  useBinaryFormat: false, // a coordinator reads JSON
  defaultTimeoutMs: 10_000,
}));
const workKey = "task:from-javascript";

async function claim(session) {
  // Sent again with the same requestId, it is the same request: a lost answer takes nothing twice.
  const answer = await client.claim({ session, workKey, ttl: { seconds: 600n }, requestId: randomUUID() });
  if (answer.outcome === Outcome.DENIED) {
    console.log(`${session}: taken by ${answer.denial.holder}, try again in ${answer.denial.retryAfter.seconds} s`);
    return null;
  }
  console.log(`${session}: mine, with fencing token ${answer.claim.fencingToken}`); // a bigint
  return answer.claim;
}

const mine = await claim("session-7f8b");
await claim("session-9a2c");
const done = await client.complete({ session: "session-7f8b", workKey, fencingToken: mine.fencingToken, result: "PR 8" });
console.log(`completed ${done.record.workKey}`);
try {
  await client.complete({ session: "session-9a2c", workKey: "task:never-claimed" });
} catch (error) {
  const { code, rawMessage } = ConnectError.from(error);
  const [detail] = ConnectError.from(error).findDetails(ErrorDetailSchema);
  console.log(`${Code[code]}: ${rawMessage}${detail?.hint ? ` (${detail.hint})` : ""}`);
}
