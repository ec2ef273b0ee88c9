// kafkajs against a broker: `node kafkajs.js BOOTSTRAP TOPIC CHECK`, run where kafkajs is installed.
//
// Producer and admin only; every kafkajs consumer is a member of a group, see groups.js. A check
// verifies what the broker answers and exits 1 with one clear line.
const path = require("path");
const { Kafka, CompressionTypes, ConfigResourceTypes, logLevel } = require(
  path.join(process.cwd(), "node_modules", "kafkajs"),
);

const [bootstrap, topic, check] = process.argv.slice(2);
const kafka = new Kafka({ clientId: "conformance", brokers: bootstrap.split(","), logLevel: logLevel.NOTHING });

function expect(holds, otherwise) {
  if (!holds) {
    throw new Error(otherwise);
  }
}

// What one request changed, the next may see only a moment later.
async function eventually(attempt, otherwise) {
  for (const deadline = Date.now() + 20000; !(await attempt()); ) {
    expect(Date.now() < deadline, otherwise);
    await new Promise((resume) => setTimeout(resume, 50));
  }
}

async function highWatermark(admin) {
  const offsets = await admin.fetchTopicOffsets(topic);
  expect(offsets.length === 1 && offsets[0].low === "0", `offsets are ${JSON.stringify(offsets)}`);
  return Number(offsets[0].high);
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

function batch(first, count) {
  return Array.from({ length: count }, (_, n) => ({
    key: `k${first + n}`,
    value: `v${first + n}`,
    headers: { h: `h${first + n}` },
    timestamp: String(1700000000000 + first + n),
  }));
}

async function producer(options) {
  const sender = kafka.producer(options);
  await sender.connect();
  for (const [i, compression] of [CompressionTypes.None, CompressionTypes.GZIP].entries()) {
    const [answer] = await sender.send({ topic, acks: -1, compression, messages: batch(i * 50, 50) });
    expect(answer.errorCode === 0, `the broker answered error ${answer.errorCode}`);
    expect(Number(answer.baseOffset) === i * 50, `base offset is ${answer.baseOffset}, want ${i * 50}`);
  }
  await sender.disconnect();
  await withAdmin(async (admin) => {
    const high = await highWatermark(admin);
    expect(high === 100, `high watermark is ${high}, want 100`);
    const [found] = await admin.fetchTopicOffsetsByTimestamp(topic, 1700000000042);
    expect(found.offset === "42", `offset by timestamp is ${found.offset}, want 42`);
  });
}

async function admin() {
  await withAdmin(async (admin) => {
    const topics = [{ topic, numPartitions: 2, replicationFactor: Number(process.env.CONFORMANCE_REPLICAS || 1), configEntries: [{ name: "retention.ms", value: "3600000" }] }];
    expect(await admin.createTopics({ topics }), "the topic was not created");
    expect(!(await admin.createTopics({ topics })), "creating the topic twice was accepted");
    await admin.createPartitions({ topicPartitions: [{ topic, count: 3 }] });
    expect((await admin.listTopics()).includes(topic), "the topic is not listed");
    await eventually(async () => {
      const metadata = await admin.fetchTopicMetadata({ topics: [topic] });
      return metadata.topics[0].partitions.length === 3;
    }, "metadata does not come to name three partitions");
    const cluster = await admin.describeCluster();
    expect(cluster.brokers.length >= 1 && cluster.clusterId, `the cluster is ${JSON.stringify(cluster)}`);
    const resource = { type: ConfigResourceTypes.TOPIC, name: topic };
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ ...resource, configEntries: [{ name: "retention.ms", value: "7200000" }] }],
    });
    await eventually(async () => {
      const query = { includeSynonyms: true, resources: [{ ...resource, configNames: ["retention.ms"] }] };
      const [{ configEntries }] = (await admin.describeConfigs(query)).resources;
      return configEntries.find((entry) => entry.configName === "retention.ms").configValue === "7200000";
    }, "retention.ms keeps its old value");
    await admin.deleteTopics({ topics: [topic] });
  });
}

const checks = {
  producer: () => producer({}),
  idempotent: () => producer({ idempotent: true, maxInFlightRequests: 1 }),
  admin,
};

checks[check]().catch((problem) => {
  console.error(problem.message);
  process.exit(1);
});
