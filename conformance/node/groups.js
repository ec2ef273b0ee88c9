// Groups of kafkajs against a broker: `node groups.js BOOTSTRAP TOPIC CHECK`, run where kafkajs is installed.
//
// A check verifies what it reads and exits 1 with one clear line. A group is named as its topic is.
const path = require("path");
const { Kafka, logLevel } = require(path.join(process.cwd(), "node_modules", "kafkajs"));

const [bootstrap, topic, check] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "conformance", brokers: bootstrap.split(","), logLevel: logLevel.NOTHING });
const patience = 30000;

function expect(holds, otherwise) {
  if (!holds) {
    throw new Error(otherwise);
  }
}

async function until(holds, otherwise) {
  for (const deadline = Date.now() + patience; !(await holds()); ) {
    expect(Date.now() < deadline, otherwise());
    await new Promise((resume) => setTimeout(resume, 20));
  }
}

async function withAdmin(work) {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

// Without a replication factor, which kafkajs then sends as -1 in a version older than that meaning.
function create(numPartitions) {
  return withAdmin(async (admin) => {
    await admin.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false });
    const led = ({ topics }) => topics[0].partitions.filter(({ leader }) => leader >= 0).length === numPartitions;
    const served = () => admin.fetchTopicMetadata({ topics: [topic] }).then(led, () => false);
    await until(served, () => "the topic's partitions do not all come to have a leader");
  });
}

async function fill(partitions, first, count = 10) {
  const producer = kafka.producer();
  await producer.connect();
  for (let partition = 0; partition < partitions; partition++) {
    const messages = Array.from({ length: count }, (_, n) => ({ partition, value: `p${partition} m${first + n}` }));
    await producer.send({ topic, acks: -1, messages });
  }
  await producer.disconnect();
}

// One running consumer; `read` maps partitions to offsets, `held` is its assignment.
async function member(options, eachMessage) {
  const consumer = kafka.consumer({ groupId: topic, sessionTimeout: 10000, heartbeatInterval: 300, maxWaitTimeInMs: 200 });
  const state = { consumer, read: new Map(), held: [], problem: null };
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (state.held = payload.memberAssignment[topic] || []));
  consumer.on(consumer.events.CRASH, ({ payload }) => (state.problem = payload.error));
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    ...options,
    eachMessage: async ({ partition, message }) => {
      const offset = Number(message.offset);
      if (message.value.toString() !== `p${partition} m${offset}`) {
        state.problem = new Error(`partition ${partition} offset ${offset} reads ${message.value}`);
      }
      state.read.set(partition, [...(state.read.get(partition) || []), offset]);
      await (eachMessage && eachMessage(state, partition, offset));
    },
  });
  return state;
}

function readOf(members, partition) {
  return members.flatMap((each) => each.read.get(partition) || []).sort((a, b) => a - b);
}

async function untilRead(members, partitions, count) {
  const numbers = [...Array(partitions).keys()];
  const shown = () => JSON.stringify(numbers.map((partition) => readOf(members, partition)));
  await until(() => {
    const broken = members.find((each) => each.problem);
    expect(!broken, broken && broken.problem.message);
    return numbers.every((partition) => readOf(members, partition).length >= count);
  }, () => `reading ${count} of each partition did not come about in time: ${shown()}`);
}

function expectRead(members, partition, first, end) {
  const want = JSON.stringify(Array.from({ length: end - first }, (_, n) => first + n));
  const read = JSON.stringify(readOf(members, partition));
  expect(read === want, `of partition ${partition} were read ${read}, want ${want}`);
}

// Automatic commits: the second start goes on where the first one stopped.
async function auto() {
  await create(2);
  for (const start of [0, 1]) {
    await fill(2, start * 10);
    const only = await member({ autoCommit: true });
    await untilRead([only], 2, 10);
    await only.consumer.disconnect();
    for (const partition of [0, 1]) {
      expectRead([only], partition, start * 10, start * 10 + 10);
    }
  }
}

// Offsets committed by hand, with metadata; the admin client sees, sets and deletes the group.
async function manual() {
  await create(1);
  await fill(1, 0);
  const commitThird = (state, partition, offset) =>
    offset % 3 === 2 && state.consumer.commitOffsets([{ topic, partition, offset: String(offset + 1), metadata: "a note" }]);
  for (const first of [0, 9]) {
    const only = await member({ autoCommit: false }, commitThird);
    await untilRead([only], 1, 10 - first);
    await only.consumer.disconnect();
    expectRead([only], 0, first, 10);
  }
  await withAdmin(async (admin) => {
    const [{ partitions }] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
    const seen = `${partitions[0].offset} ${partitions[0].metadata}`;
    expect(seen === "9 a note", `the group's offset and metadata are ${seen}`);
    await admin.setOffsets({ groupId: topic, topic, partitions: [{ partition: 0, offset: "2" }] });
    const [{ partitions: after }] = await admin.fetchOffsets({ groupId: topic, topics: [topic] });
    expect(after[0].offset === "2", `the offset that was set reads ${after[0].offset}`);
    const described = (await admin.describeGroups([topic])).groups[0];
    expect(described.state === "Empty", `the group is ${described.state}`);
    const { groups } = await admin.listGroups();
    expect(groups.some((group) => group.groupId === topic), "the group is not listed");
    await admin.deleteGroups([topic]);
    const left = (await admin.listGroups()).groups;
    expect(!left.some((group) => group.groupId === topic), "the deleted group is listed");
  });
}

async function two() {
  await create(4);
  await fill(4, 0);
  const first = await member({});
  await untilRead([first], 4, 10);
  const second = await member({});
  const both = [first, second];
  const held = () => `the first holds ${first.held}, the second ${second.held}`;
  await until(() => first.held.length === 2 && second.held.length === 2, () => `two for each did not come about: ${held()}`);
  expect(new Set([...first.held, ...second.held]).size === 4, `one partition is held twice: ${held()}`);
  await fill(4, 10);
  await untilRead(both, 4, 20);
  for (const partition of second.held) {
    expect((second.read.get(partition) || []).length === 10, `the second did not read partition ${partition}`);
  }
  await first.consumer.disconnect();
  await until(() => second.held.length === 4, () => `taking over did not come about: ${held()}`);
  await fill(4, 20);
  await untilRead(both, 4, 30);
  await second.consumer.disconnect();
  for (const partition of [0, 1, 2, 3]) {
    expectRead(both, partition, 0, 30);
  }
}

const checks = { auto, manual, two };

checks[check]().then(
  () => process.exit(0),
  (problem) => {
    console.error(problem.message);
    process.exit(1);
  },
);
