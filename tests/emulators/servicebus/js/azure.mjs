// What Microsoft's JavaScript client sees of the emulator. Arguments: the connection string and a scenario's name.
// A third one, websocket, is for AMQP inside WebSockets. Prints the result as one line of JSON; the test says what it has to
// be.
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.PEEKLOCK_NODE_MODULES, "from-here.js"));
const { ServiceBusClient } = require("@azure/service-bus");

const [connection, scenario, transport] = process.argv.slice(2);
const client = new ServiceBusClient(connection, {
  retryOptions: { maxRetries: 0, timeoutInMs: 10_000 },
  ...(transport === "websocket" && { webSocketOptions: { webSocket: WebSocket } }),
});
const few = { maxWaitTimeInMs: 10_000 };
const sql = (sqlExpression) => ({ sqlExpression });
const plain = (message) => ({
  body: message.body,
  id: message.messageId,
  properties: message.applicationProperties ?? {},
  count: message.deliveryCount,
  number: Number(message.sequenceNumber),
  state: message.state,
  reason: message.deadLetterReason,
  description: message.deadLetterErrorDescription,
});

const scenarios = {
  async settlement() {
    const sender = client.createSender("orders");
    await sender.sendMessages(["done", "back", "dead letter", "later"].map((body) => ({ body: { body }, messageId: body })));
    const receiver = client.createReceiver("orders");
    const [done, back, deadLetter, later] = await receiver.receiveMessages(4, few);
    const renewed = await receiver.renewMessageLock(done);
    await receiver.completeMessage(done);
    await receiver.abandonMessage(back, { tried: "once" });
    await receiver.deadLetterMessage(deadLetter, { deadLetterReason: "why", deadLetterErrorDescription: "because", more: 1 });
    await receiver.deferMessage(later);
    const [again] = await receiver.receiveMessages(1, few);
    await receiver.completeMessage(again);
    const [deferred] = await receiver.receiveDeferredMessages(later.sequenceNumber);
    const left = await receiver.peekMessages(10);
    await receiver.completeMessage(deferred);
    const deadLetters = client.createReceiver("orders", { subQueueType: "deadLetter", receiveMode: "receiveAndDelete" });
    const [found] = await deadLetters.receiveMessages(1, few);
    return {
      renewed: renewed > done.enqueuedTimeUtc,
      again: plain(again),
      left: left.map(plain),
      deadLetter: plain(found),
    };
  },

  async batches() {
    const sender = client.createSender("orders");
    const batch = await sender.createMessageBatch();
    for (let n = 0; n < 50; n += 1) batch.tryAddMessage({ body: n });
    await sender.sendMessages(batch);
    await sender.sendMessages({ body: Buffer.alloc(200_000, 7) });
    const receiver = client.createReceiver("orders", { receiveMode: "receiveAndDelete" });
    const bodies = [];
    while (bodies.length < 51) bodies.push(...(await receiver.receiveMessages(51, few)).map((one) => one.body));
    return { numbers: bodies.slice(0, 50), size: bodies[50].length };
  },

  async stream() {
    const sender = client.createSender("orders");
    await sender.sendMessages(Array.from({ length: 20 }, (_, n) => ({ body: n })));
    const seen = [];
    const receiver = client.createReceiver("orders");
    await new Promise((resolve, reject) => {
      receiver.subscribe({
        processError: async ({ error }) => reject(error),
        processMessage: async ({ body }) => {
          seen.push(body);
          if (seen.length === 20) setTimeout(resolve, 100); // the last one is completed after this
        },
      });
    });
    await receiver.close();
    return seen;
  },

  async schedule() {
    const sender = client.createSender("orders");
    const due = new Date(Date.now() + 3_600_000);
    const [first, second] = await sender.scheduleMessages([{ body: "a" }, { body: "b" }], due);
    await sender.cancelScheduledMessages(first);
    const peeked = await client.createReceiver("orders").peekMessages(5);
    return { second: Number(second), peeked: peeked.map(plain) };
  },

  async sessions() {
    const sender = client.createSender("grouped");
    await sender.sendMessages(["a1", "b1", "a2"].map((body) => ({ body, sessionId: body[0] })));
    const first = await client.acceptNextSession("grouped");
    await first.setSessionState({ step: 2 });
    const state = await first.getSessionState();
    await first.renewSessionLock();
    const taken = await client.acceptSession("grouped", first.sessionId).catch((error) => error.code);
    const messages = await first.receiveMessages(2, few);
    for (const message of messages) await first.completeMessage(message);
    await first.close();
    const other = await client.acceptSession("grouped", "b");
    const [message] = await other.receiveMessages(1, few);
    return { session: first.sessionId, state, taken, bodies: messages.map(({ body }) => body), other: message.body };
  },

  async rules() {
    const manager = client.createRuleManager("events", "some");
    const list = async () => {
      const rules = [];
      for await (const { name, filter } of manager.listRules()) rules.push([name, filter]);
      return rules;
    };
    const before = await list();
    await manager.deleteRule("$Default");
    const filter = { subject: "created", applicationProperties: { country: "pt" } };
    await manager.createRule("created", filter);
    await manager.createRule("never", { sqlExpression: "1=0" });
    const twice = await manager.createRule("created", filter).catch((error) => error.code);
    const gone = await manager.deleteRule("unknown").catch((error) => error.code);
    const sender = client.createSender("events");
    const sent = [
      { body: "a", subject: "created", applicationProperties: { country: "pt", size: 1 } },
      { body: "b", subject: "created", applicationProperties: { country: "es" } },
      { body: "c", applicationProperties: { country: "pt" } },
    ];
    await sender.sendMessages(sent);
    const receiver = client.createReceiver("events", "some");
    const [message] = await receiver.receiveMessages(1, few);
    await receiver.completeMessage(message);
    return { before, twice, gone, after: await list(), body: message.body };
  },

  async sql() {
    const manager = client.createRuleManager("events", "some");
    await manager.deleteRule("$Default");
    await manager.createRule("large", sql("size > 10"), sql("SET sys.Label = 'large'; REMOVE size"));
    await manager.createRule("plain", sql("size < 10"));
    await manager.createRule("by id", { correlationId: "c" }, sql("SET found = TRUE"));
    const rules = [];
    for await (const { name, filter, action } of manager.listRules()) rules.push([name, filter, action]);
    const refused = async (...rule) => manager.createRule(...rule).catch(({ code, message }) => [code, message]);
    const bad = await refused("bad", sql("size >"));
    const worse = await refused("worse", sql("1=1"), sql("DROP"));
    await client.createSender("events").sendMessages([
      { body: "a", applicationProperties: { size: 50 } },
      { body: "b", applicationProperties: { size: 5 }, correlationId: "c" },
    ]);
    const receiver = client.createReceiver("events", "some", { receiveMode: "receiveAndDelete" });
    const messages = [];
    while (messages.length < 3) messages.push(...(await receiver.receiveMessages(3, few)));
    const found = messages.map((one) => [one.body, one.subject ?? null, one.applicationProperties]);
    return { rules, bad, worse, found };
  },

  async errors() {
    const code = (error) => error.code;
    const receiver = client.createReceiver("orders");
    await client.createSender("orders").sendMessages({ body: "a" });
    const [message] = await receiver.receiveMessages(1, few);
    await receiver.completeMessage(message);
    return {
      unknown: await client.createSender("nowhere").sendMessages({ body: "a" }).catch(code),
      ungrouped: await client.createSender("grouped").sendMessages({ body: "a" }).catch(code),
      large: await client.createSender("orders").sendMessages({ body: Buffer.alloc(1_100_000) }).catch(code),
      twice: await receiver.renewMessageLock(message).catch(code),
      gone: await receiver.receiveDeferredMessages(message.sequenceNumber).catch(code),
    };
  },
};

const result = await scenarios[scenario]();
await client.close();
console.log(JSON.stringify(result));
