// AMQP without an SDK: what rhea, an implementation of its own, sees of the emulator's links.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PEEKLOCK_NODE_MODULES, "from-here.js"));
const rhea = require("rhea");

const port = Number(process.argv[2]);
const seen = { sent: [], received: [], drained: null, refused: null };
const connection = rhea.create_container().connect({
  host: "127.0.0.1",
  port,
  username: "anyone",
  password: "anything",
  max_frame_size: 1024,
  idle_time_out: 500,
  reconnect: false,
});
const once = (emitter, name) => new Promise((resolve) => emitter.once(name, resolve));

const sender = connection.open_sender("q");
await once(sender, "sendable");
for (const body of ["one", "x".repeat(5000), "three"]) {
  sender.send({ body, application_properties: { length: body.length }, durable: true });
  const { delivery } = await once(sender, "accepted");
  seen.sent.push(delivery.remote_settled);
}

const receiver = connection.open_receiver({ source: "q", autoaccept: false, credit_window: 0, rcv_settle_mode: 1 });
receiver.add_credit(5);
receiver.on("message", ({ message, delivery }) => {
  seen.received.push([message.body.length, message.application_properties.length, message.delivery_count]);
  delivery.update(false, rhea.message.accepted().described());
});
receiver.drain_credit();
await once(receiver, "receiver_drained");
seen.drained = receiver.credit;
await new Promise((resolve) => setTimeout(resolve, 700)); // longer than it takes heartbeats to be missed

const unknown = connection.open_receiver("nowhere");
await once(unknown, "receiver_error");
seen.refused = unknown.error.condition;
connection.close();
await once(connection, "connection_close");
console.log(JSON.stringify(seen));
