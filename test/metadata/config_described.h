/* What Apache Kafka 4.4.0 answered to DescribeConfigs, one line a key:
 *   name = value | source | type | flags | synonym=value source; ...
 * The broker had `described_file` as its configuration; config_describe_test.c sets what was
 * changed while it ran. */
#ifndef JACKDAW_TEST_METADATA_CONFIG_DESCRIBED_H
#define JACKDAW_TEST_METADATA_CONFIG_DESCRIBED_H

static const char described_file[] =
    "process.roles=broker,controller\n"
    "node.id=1\n"
    "controller.quorum.bootstrap.servers=127.0.0.1:9093\n"
    "listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
    "advertised.listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n"
    "inter.broker.listener.name=PLAINTEXT\n"
    "controller.listener.names=CONTROLLER\n"
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n"
    "num.network.threads=3\n"
    "num.io.threads=8\n"
    "socket.send.buffer.bytes=102400\n"
    "socket.receive.buffer.bytes=102400\n"
    "socket.request.max.bytes=104857600\n"
    "log.dirs=/data/node1\n"
    "num.partitions=1\n"
    "num.recovery.threads.per.data.dir=2\n"
    "offsets.topic.replication.factor=1\n"
    "share.coordinator.state.topic.replication.factor=1\n"
    "share.coordinator.state.topic.min.isr=1\n"
    "transaction.state.log.replication.factor=1\n"
    "transaction.state.log.min.isr=1\n"
    "log.retention.hours=168\n"
    "log.segment.bytes=1073741824\n"
    "log.retention.check.interval.ms=300000\n"
    "log.roll.hours=100\n"
    "log.roll.jitter.hours=1\n"
    "internal.metadata.log.segment.bytes=9000000\n"
    "custom.key=5\n"
    "broker.rack=r1\n";

/* Before anything was changed; Kafka itself had set min.insync.replicas=1 for all brokers. */
static const char *const described_fresh_topic[] = {
    "cleanup.policy = delete | DEFAULT_CONFIG | LIST | log.cleanup.policy=delete DEFAULT_CONFIG;",
    "compression.gzip.level = -1 | DEFAULT_CONFIG | INT | compression.gzip.level=-1 "
    "DEFAULT_CONFIG;",
    "compression.lz4.level = 9 | DEFAULT_CONFIG | INT | compression.lz4.level=9 DEFAULT_CONFIG;",
    "compression.type = producer | DEFAULT_CONFIG | STRING | compression.type=producer "
    "DEFAULT_CONFIG;",
    "compression.zstd.level = 3 | DEFAULT_CONFIG | INT | compression.zstd.level=3 DEFAULT_CONFIG;",
    "delete.retention.ms = 86400000 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.delete.retention.ms=86400000 DEFAULT_CONFIG;",
    "errors.deadletterqueue.group.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "file.delete.delay.ms = 60000 | DEFAULT_CONFIG | LONG | log.segment.delete.delay.ms=60000 "
    "DEFAULT_CONFIG;",
    "flush.messages = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.flush.interval.messages=9223372036854775807 DEFAULT_CONFIG;",
    "flush.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG |",
    "follower.replication.throttled.replicas =  | DEFAULT_CONFIG | LIST |",
    "index.interval.bytes = 4096 | DEFAULT_CONFIG | INT | log.index.interval.bytes=4096 "
    "DEFAULT_CONFIG;",
    "leader.replication.throttled.replicas =  | DEFAULT_CONFIG | LIST |",
    "local.retention.bytes = -2 | DEFAULT_CONFIG | LONG | log.local.retention.bytes=-2 "
    "DEFAULT_CONFIG;",
    "local.retention.ms = -2 | DEFAULT_CONFIG | LONG | log.local.retention.ms=-2 DEFAULT_CONFIG;",
    "max.compaction.lag.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.max.compaction.lag.ms=9223372036854775807 DEFAULT_CONFIG;",
    "max.decompressed.message.bytes = 2147483639 | DEFAULT_CONFIG | INT | "
    "max.decompressed.message.bytes=2147483639 DEFAULT_CONFIG;",
    "max.message.bytes = 1048588 | DEFAULT_CONFIG | INT | message.max.bytes=1048588 "
    "DEFAULT_CONFIG;",
    "message.timestamp.after.max.ms = 3600000 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.after.max.ms=3600000 DEFAULT_CONFIG;",
    "message.timestamp.before.max.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.before.max.ms=9223372036854775807 DEFAULT_CONFIG;",
    "message.timestamp.type = CreateTime | DEFAULT_CONFIG | STRING | "
    "log.message.timestamp.type=CreateTime DEFAULT_CONFIG;",
    "min.cleanable.dirty.ratio = 0.5 | DEFAULT_CONFIG | DOUBLE | "
    "log.cleaner.min.cleanable.ratio=0.5 DEFAULT_CONFIG;",
    "min.compaction.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.cleaner.min.compaction.lag.ms=0 "
    "DEFAULT_CONFIG;",
    "min.insync.replicas = 1 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | min.insync.replicas=1 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; min.insync.replicas=1 DEFAULT_CONFIG;",
    "preallocate = false | DEFAULT_CONFIG | BOOLEAN | log.preallocate=false DEFAULT_CONFIG;",
    "remote.copy.lag.bytes = -1 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.bytes=-1 "
    "DEFAULT_CONFIG;",
    "remote.copy.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.ms=0 DEFAULT_CONFIG;",
    "remote.log.copy.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.log.delete.on.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.storage.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "retention.bytes = -1 | DEFAULT_CONFIG | LONG | log.retention.bytes=-1 DEFAULT_CONFIG;",
    "retention.ms = 604800000 | DEFAULT_CONFIG | LONG |",
    "segment.bytes = 1073741824 | STATIC_BROKER_CONFIG | INT | log.segment.bytes=1073741824 "
    "STATIC_BROKER_CONFIG; log.segment.bytes=1073741824 DEFAULT_CONFIG;",
    "segment.index.bytes = 10485760 | DEFAULT_CONFIG | INT | log.index.size.max.bytes=10485760 "
    "DEFAULT_CONFIG;",
    "segment.jitter.ms = 3600000 | DEFAULT_CONFIG | LONG |",
    "segment.ms = 360000000 | DEFAULT_CONFIG | LONG |",
    "unclean.leader.election.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=false DEFAULT_CONFIG;",
};

static const char *const described_fresh_broker[] = {
    "add.partitions.to.txn.retry.backoff.max.ms = 100 | DEFAULT_CONFIG | INT | read-only | "
    "add.partitions.to.txn.retry.backoff.max.ms=100 DEFAULT_CONFIG;",
    "add.partitions.to.txn.retry.backoff.ms = 20 | DEFAULT_CONFIG | INT | read-only | "
    "add.partitions.to.txn.retry.backoff.ms=20 DEFAULT_CONFIG;",
    "advertised.listeners = PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093 | "
    "STATIC_BROKER_CONFIG | LIST | read-only | "
    "advertised.listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093 "
    "STATIC_BROKER_CONFIG;",
    "alter.config.policy.class.name = null | DEFAULT_CONFIG | CLASS | read-only |",
    "alter.log.dirs.replication.quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | "
    "alter.log.dirs.replication.quota.window.num=11 DEFAULT_CONFIG;",
    "alter.log.dirs.replication.quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "alter.log.dirs.replication.quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "authorizer.class.name =  | DEFAULT_CONFIG | STRING | read-only | authorizer.class.name= "
    "DEFAULT_CONFIG;",
    "auto.create.topics.enable = true | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "auto.create.topics.enable=true DEFAULT_CONFIG;",
    "auto.leader.rebalance.enable = true | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "auto.leader.rebalance.enable=true DEFAULT_CONFIG;",
    "background.threads = 10 | DEFAULT_CONFIG | INT | background.threads=10 DEFAULT_CONFIG;",
    "broker.heartbeat.interval.ms = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "broker.heartbeat.interval.ms=2000 DEFAULT_CONFIG;",
    "broker.id = 1 | STATIC_BROKER_CONFIG | INT | read-only | broker.id=1 STATIC_BROKER_CONFIG; "
    "broker.id=-1 DEFAULT_CONFIG;",
    "broker.rack = r1 | STATIC_BROKER_CONFIG | STRING | read-only | broker.rack=r1 "
    "STATIC_BROKER_CONFIG;",
    "broker.session.timeout.ms = 9000 | DEFAULT_CONFIG | INT | read-only | "
    "broker.session.timeout.ms=9000 DEFAULT_CONFIG;",
    "client.quota.callback.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "compression.gzip.level = -1 | DEFAULT_CONFIG | INT | compression.gzip.level=-1 "
    "DEFAULT_CONFIG;",
    "compression.lz4.level = 9 | DEFAULT_CONFIG | INT | compression.lz4.level=9 DEFAULT_CONFIG;",
    "compression.type = producer | DEFAULT_CONFIG | STRING | compression.type=producer "
    "DEFAULT_CONFIG;",
    "compression.zstd.level = 3 | DEFAULT_CONFIG | INT | compression.zstd.level=3 DEFAULT_CONFIG;",
    "config.providers =  | DEFAULT_CONFIG | LIST | config.providers= DEFAULT_CONFIG;",
    "connection.failed.authentication.delay.ms = 100 | DEFAULT_CONFIG | INT | read-only | "
    "connection.failed.authentication.delay.ms=100 DEFAULT_CONFIG;",
    "connections.max.idle.ms = 600000 | DEFAULT_CONFIG | LONG | read-only | "
    "connections.max.idle.ms=600000 DEFAULT_CONFIG;",
    "connections.max.reauth.ms = 0 | DEFAULT_CONFIG | LONG | read-only | "
    "connections.max.reauth.ms=0 DEFAULT_CONFIG;",
    "controlled.shutdown.enable = true | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "controlled.shutdown.enable=true DEFAULT_CONFIG;",
    "controller.listener.names = CONTROLLER | STATIC_BROKER_CONFIG | LIST | read-only | "
    "controller.listener.names=CONTROLLER STATIC_BROKER_CONFIG;",
    "controller.quorum.append.linger.ms = 25 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.append.linger.ms=25 DEFAULT_CONFIG;",
    "controller.quorum.auto.join.enable = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "controller.quorum.auto.join.enable=false DEFAULT_CONFIG;",
    "controller.quorum.bootstrap.servers = 127.0.0.1:9093 | STATIC_BROKER_CONFIG | LIST | "
    "read-only | controller.quorum.bootstrap.servers=127.0.0.1:9093 STATIC_BROKER_CONFIG; "
    "controller.quorum.bootstrap.servers= DEFAULT_CONFIG;",
    "controller.quorum.election.backoff.max.ms = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.election.backoff.max.ms=1000 DEFAULT_CONFIG;",
    "controller.quorum.election.timeout.ms = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.election.timeout.ms=1000 DEFAULT_CONFIG;",
    "controller.quorum.fetch.max.bytes = 1048576 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.fetch.max.bytes=1048576 DEFAULT_CONFIG;",
    "controller.quorum.fetch.snapshot.max.bytes = 1048576 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.fetch.snapshot.max.bytes=1048576 DEFAULT_CONFIG;",
    "controller.quorum.fetch.timeout.ms = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.fetch.timeout.ms=2000 DEFAULT_CONFIG;",
    "controller.quorum.request.timeout.ms = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.request.timeout.ms=2000 DEFAULT_CONFIG;",
    "controller.quorum.retry.backoff.ms = 20 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quorum.retry.backoff.ms=20 DEFAULT_CONFIG;",
    "controller.quorum.voters =  | DEFAULT_CONFIG | LIST | read-only | controller.quorum.voters= "
    "DEFAULT_CONFIG;",
    "controller.quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quota.window.num=11 DEFAULT_CONFIG;",
    "controller.quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "controller.quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "controller.socket.timeout.ms = 30000 | DEFAULT_CONFIG | INT | read-only | "
    "controller.socket.timeout.ms=30000 DEFAULT_CONFIG;",
    "cordoned.log.dirs =  | DEFAULT_CONFIG | LIST | cordoned.log.dirs= DEFAULT_CONFIG;",
    "create.topic.policy.class.name = null | DEFAULT_CONFIG | CLASS | read-only |",
    "custom.key = null | STATIC_BROKER_CONFIG | UNKNOWN | read-only | sensitive | custom.key=null "
    "STATIC_BROKER_CONFIG;",
    "default.replication.factor = 1 | DEFAULT_CONFIG | INT | read-only | "
    "default.replication.factor=1 DEFAULT_CONFIG;",
    "delegation.token.expiry.check.interval.ms = 3600000 | DEFAULT_CONFIG | LONG | read-only | "
    "delegation.token.expiry.check.interval.ms=3600000 DEFAULT_CONFIG;",
    "delegation.token.expiry.time.ms = 86400000 | DEFAULT_CONFIG | LONG | read-only | "
    "delegation.token.expiry.time.ms=86400000 DEFAULT_CONFIG;",
    "delegation.token.max.lifetime.ms = 604800000 | DEFAULT_CONFIG | LONG | read-only | "
    "delegation.token.max.lifetime.ms=604800000 DEFAULT_CONFIG;",
    "delegation.token.secret.key = null | DEFAULT_CONFIG | PASSWORD | read-only | sensitive |",
    "delete.records.purgatory.purge.interval.requests = 1 | DEFAULT_CONFIG | INT | read-only | "
    "delete.records.purgatory.purge.interval.requests=1 DEFAULT_CONFIG;",
    "delete.topic.enable = true | DEFAULT_CONFIG | BOOLEAN | read-only | delete.topic.enable=true "
    "DEFAULT_CONFIG;",
    "early.start.listeners = null | DEFAULT_CONFIG | LIST | read-only |",
    "errors.deadletterqueue.auto.create.topics.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "errors.deadletterqueue.auto.create.topics.enable=false DEFAULT_CONFIG;",
    "errors.deadletterqueue.topic.name.prefix = dlq. | DEFAULT_CONFIG | STRING | "
    "errors.deadletterqueue.topic.name.prefix=dlq. DEFAULT_CONFIG;",
    "fetch.max.bytes = 57671680 | DEFAULT_CONFIG | INT | read-only | fetch.max.bytes=57671680 "
    "DEFAULT_CONFIG;",
    "fetch.purgatory.purge.interval.requests = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "fetch.purgatory.purge.interval.requests=1000 DEFAULT_CONFIG;",
    "follower.fetch.last.tiered.offset.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "follower.fetch.last.tiered.offset.enable=false DEFAULT_CONFIG;",
    "group.consumer.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.consumer.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "group.consumer.assignors = uniform,range | DEFAULT_CONFIG | LIST | read-only | "
    "group.consumer.assignors=uniform,range DEFAULT_CONFIG;",
    "group.consumer.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.consumer.max.assignment.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.max.assignment.interval.ms=15000 DEFAULT_CONFIG;",
    "group.consumer.max.heartbeat.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.max.heartbeat.interval.ms=15000 DEFAULT_CONFIG;",
    "group.consumer.max.session.timeout.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.max.session.timeout.ms=60000 DEFAULT_CONFIG;",
    "group.consumer.max.size = 2147483647 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.max.size=2147483647 DEFAULT_CONFIG;",
    "group.consumer.migration.policy = bidirectional | DEFAULT_CONFIG | STRING | read-only | "
    "group.consumer.migration.policy=bidirectional DEFAULT_CONFIG;",
    "group.consumer.min.assignment.interval.ms = 0 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.min.assignment.interval.ms=0 DEFAULT_CONFIG;",
    "group.consumer.min.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.min.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.consumer.min.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.min.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.consumer.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.consumer.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.coordinator.append.linger.ms = -1 | DEFAULT_CONFIG | INT | read-only | "
    "group.coordinator.append.linger.ms=-1 DEFAULT_CONFIG;",
    "group.coordinator.background.threads = 2 | DEFAULT_CONFIG | INT | read-only | "
    "group.coordinator.background.threads=2 DEFAULT_CONFIG;",
    "group.coordinator.cached.buffer.max.bytes = 1048588 | DEFAULT_CONFIG | INT | "
    "group.coordinator.cached.buffer.max.bytes=1048588 DEFAULT_CONFIG;",
    "group.coordinator.rebalance.protocols = classic,consumer,streams | DEFAULT_CONFIG | LIST | "
    "read-only | group.coordinator.rebalance.protocols=classic,consumer,streams DEFAULT_CONFIG;",
    "group.coordinator.threads = 4 | DEFAULT_CONFIG | INT | read-only | "
    "group.coordinator.threads=4 DEFAULT_CONFIG;",
    "group.initial.rebalance.delay.ms = 3000 | DEFAULT_CONFIG | INT | read-only | "
    "group.initial.rebalance.delay.ms=3000 DEFAULT_CONFIG;",
    "group.max.session.timeout.ms = 1800000 | DEFAULT_CONFIG | INT | read-only | "
    "group.max.session.timeout.ms=1800000 DEFAULT_CONFIG;",
    "group.max.size = 2147483647 | DEFAULT_CONFIG | INT | read-only | group.max.size=2147483647 "
    "DEFAULT_CONFIG;",
    "group.min.session.timeout.ms = 6000 | DEFAULT_CONFIG | INT | read-only | "
    "group.min.session.timeout.ms=6000 DEFAULT_CONFIG;",
    "group.share.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.share.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "group.share.assignors = simple | DEFAULT_CONFIG | LIST | read-only | "
    "group.share.assignors=simple DEFAULT_CONFIG;",
    "group.share.delivery.count.limit = 5 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.delivery.count.limit=5 DEFAULT_CONFIG;",
    "group.share.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.share.max.assignment.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.assignment.interval.ms=15000 DEFAULT_CONFIG;",
    "group.share.max.delivery.count.limit = 10 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.delivery.count.limit=10 DEFAULT_CONFIG;",
    "group.share.max.heartbeat.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.heartbeat.interval.ms=15000 DEFAULT_CONFIG;",
    "group.share.max.partition.max.record.locks = 4000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.partition.max.record.locks=4000 DEFAULT_CONFIG;",
    "group.share.max.record.lock.duration.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.record.lock.duration.ms=60000 DEFAULT_CONFIG;",
    "group.share.max.session.timeout.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.session.timeout.ms=60000 DEFAULT_CONFIG;",
    "group.share.max.share.sessions = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.max.share.sessions=2000 DEFAULT_CONFIG;",
    "group.share.max.size = 200 | DEFAULT_CONFIG | INT | read-only | group.share.max.size=200 "
    "DEFAULT_CONFIG;",
    "group.share.min.assignment.interval.ms = 0 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.assignment.interval.ms=0 DEFAULT_CONFIG;",
    "group.share.min.delivery.count.limit = 2 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.delivery.count.limit=2 DEFAULT_CONFIG;",
    "group.share.min.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.share.min.partition.max.record.locks = 100 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.partition.max.record.locks=100 DEFAULT_CONFIG;",
    "group.share.min.record.lock.duration.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.record.lock.duration.ms=15000 DEFAULT_CONFIG;",
    "group.share.min.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.min.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.share.partition.max.record.locks = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.partition.max.record.locks=2000 DEFAULT_CONFIG;",
    "group.share.record.lock.duration.ms = 30000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.record.lock.duration.ms=30000 DEFAULT_CONFIG;",
    "group.share.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.share.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.streams.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.streams.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "group.streams.assignors = sticky | DEFAULT_CONFIG | LIST | read-only | "
    "group.streams.assignors=sticky DEFAULT_CONFIG;",
    "group.streams.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.streams.initial.rebalance.delay.ms = 3000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.initial.rebalance.delay.ms=3000 DEFAULT_CONFIG;",
    "group.streams.max.assignment.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.max.assignment.interval.ms=15000 DEFAULT_CONFIG;",
    "group.streams.max.heartbeat.interval.ms = 15000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.max.heartbeat.interval.ms=15000 DEFAULT_CONFIG;",
    "group.streams.max.session.timeout.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.max.session.timeout.ms=60000 DEFAULT_CONFIG;",
    "group.streams.max.size = 2147483647 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.max.size=2147483647 DEFAULT_CONFIG;",
    "group.streams.max.standby.replicas = 2 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.max.standby.replicas=2 DEFAULT_CONFIG;",
    "group.streams.min.assignment.interval.ms = 0 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.min.assignment.interval.ms=0 DEFAULT_CONFIG;",
    "group.streams.min.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.min.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "group.streams.min.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.min.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.streams.num.standby.replicas = 0 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.num.standby.replicas=0 DEFAULT_CONFIG;",
    "group.streams.rack.aware.assignment.tags =  | DEFAULT_CONFIG | LIST | read-only | "
    "group.streams.rack.aware.assignment.tags= DEFAULT_CONFIG;",
    "group.streams.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | read-only | "
    "group.streams.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "group.streams.topology.description.plugin.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "initial.broker.registration.timeout.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "initial.broker.registration.timeout.ms=60000 DEFAULT_CONFIG;",
    "inter.broker.listener.name = PLAINTEXT | STATIC_BROKER_CONFIG | STRING | read-only | "
    "inter.broker.listener.name=PLAINTEXT STATIC_BROKER_CONFIG;",
    "internal.metadata.log.segment.bytes = 9000000 | STATIC_BROKER_CONFIG | INT | read-only | "
    "internal.metadata.log.segment.bytes=9000000 STATIC_BROKER_CONFIG;",
    "kafka.metrics.polling.interval.secs = 10 | DEFAULT_CONFIG | INT | read-only | "
    "kafka.metrics.polling.interval.secs=10 DEFAULT_CONFIG;",
    "kafka.metrics.reporters =  | DEFAULT_CONFIG | LIST | read-only | kafka.metrics.reporters= "
    "DEFAULT_CONFIG;",
    "leader.imbalance.check.interval.seconds = 300 | DEFAULT_CONFIG | LONG | read-only | "
    "leader.imbalance.check.interval.seconds=300 DEFAULT_CONFIG;",
    "listener.security.protocol.map = CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT | "
    "STATIC_BROKER_CONFIG | STRING | "
    "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT STATIC_BROKER_CONFIG; "
    "listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:"
    "SASL_PLAINTEXT DEFAULT_CONFIG;",
    "listeners = PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093 | STATIC_BROKER_CONFIG | "
    "LIST | listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093 STATIC_BROKER_CONFIG; "
    "listeners=PLAINTEXT://:9092 DEFAULT_CONFIG;",
    "log.cleaner.backoff.ms = 15000 | DEFAULT_CONFIG | LONG | log.cleaner.backoff.ms=15000 "
    "DEFAULT_CONFIG;",
    "log.cleaner.dedupe.buffer.size = 134217728 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.dedupe.buffer.size=134217728 DEFAULT_CONFIG;",
    "log.cleaner.delete.retention.ms = 86400000 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.delete.retention.ms=86400000 DEFAULT_CONFIG;",
    "log.cleaner.enable = true | DEFAULT_CONFIG | BOOLEAN | read-only | log.cleaner.enable=true "
    "DEFAULT_CONFIG;",
    "log.cleaner.io.buffer.load.factor = 0.9 | DEFAULT_CONFIG | DOUBLE | "
    "log.cleaner.io.buffer.load.factor=0.9 DEFAULT_CONFIG;",
    "log.cleaner.io.buffer.size = 524288 | DEFAULT_CONFIG | INT | "
    "log.cleaner.io.buffer.size=524288 DEFAULT_CONFIG;",
    "log.cleaner.io.max.bytes.per.second = 1.7976931348623157E308 | DEFAULT_CONFIG | DOUBLE | "
    "log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 DEFAULT_CONFIG;",
    "log.cleaner.max.compaction.lag.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.max.compaction.lag.ms=9223372036854775807 DEFAULT_CONFIG;",
    "log.cleaner.min.cleanable.ratio = 0.5 | DEFAULT_CONFIG | DOUBLE | "
    "log.cleaner.min.cleanable.ratio=0.5 DEFAULT_CONFIG;",
    "log.cleaner.min.compaction.lag.ms = 0 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.min.compaction.lag.ms=0 DEFAULT_CONFIG;",
    "log.cleaner.threads = 1 | DEFAULT_CONFIG | INT | log.cleaner.threads=1 DEFAULT_CONFIG;",
    "log.cleanup.policy = delete | DEFAULT_CONFIG | LIST | log.cleanup.policy=delete "
    "DEFAULT_CONFIG;",
    "log.dir = /tmp/kafka-logs | DEFAULT_CONFIG | LIST | read-only | log.dir=/tmp/kafka-logs "
    "DEFAULT_CONFIG;",
    "log.dir.failure.timeout.ms = 30000 | DEFAULT_CONFIG | LONG | read-only | "
    "log.dir.failure.timeout.ms=30000 DEFAULT_CONFIG;",
    "log.dirs = /data/node1 | STATIC_BROKER_CONFIG | LIST | read-only | log.dirs=/data/node1 "
    "STATIC_BROKER_CONFIG;",
    "log.flush.interval.messages = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.flush.interval.messages=9223372036854775807 DEFAULT_CONFIG;",
    "log.flush.interval.ms = null | DEFAULT_CONFIG | LONG |",
    "log.flush.offset.checkpoint.interval.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "log.flush.offset.checkpoint.interval.ms=60000 DEFAULT_CONFIG;",
    "log.flush.scheduler.interval.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | read-only | "
    "log.flush.scheduler.interval.ms=9223372036854775807 DEFAULT_CONFIG;",
    "log.flush.start.offset.checkpoint.interval.ms = 60000 | DEFAULT_CONFIG | INT | read-only | "
    "log.flush.start.offset.checkpoint.interval.ms=60000 DEFAULT_CONFIG;",
    "log.index.interval.bytes = 4096 | DEFAULT_CONFIG | INT | log.index.interval.bytes=4096 "
    "DEFAULT_CONFIG;",
    "log.index.size.max.bytes = 10485760 | DEFAULT_CONFIG | INT | "
    "log.index.size.max.bytes=10485760 DEFAULT_CONFIG;",
    "log.local.retention.bytes = -2 | DEFAULT_CONFIG | LONG | log.local.retention.bytes=-2 "
    "DEFAULT_CONFIG;",
    "log.local.retention.ms = -2 | DEFAULT_CONFIG | LONG | log.local.retention.ms=-2 "
    "DEFAULT_CONFIG;",
    "log.message.timestamp.after.max.ms = 3600000 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.after.max.ms=3600000 DEFAULT_CONFIG;",
    "log.message.timestamp.before.max.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.before.max.ms=9223372036854775807 DEFAULT_CONFIG;",
    "log.message.timestamp.type = CreateTime | DEFAULT_CONFIG | STRING | "
    "log.message.timestamp.type=CreateTime DEFAULT_CONFIG;",
    "log.preallocate = false | DEFAULT_CONFIG | BOOLEAN | log.preallocate=false DEFAULT_CONFIG;",
    "log.remote.copy.lag.bytes = -1 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.bytes=-1 "
    "DEFAULT_CONFIG;",
    "log.remote.copy.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.ms=0 DEFAULT_CONFIG;",
    "log.retention.bytes = -1 | DEFAULT_CONFIG | LONG | log.retention.bytes=-1 DEFAULT_CONFIG;",
    "log.retention.check.interval.ms = 300000 | STATIC_BROKER_CONFIG | LONG | read-only | "
    "log.retention.check.interval.ms=300000 STATIC_BROKER_CONFIG; "
    "log.retention.check.interval.ms=300000 DEFAULT_CONFIG;",
    "log.retention.hours = 168 | STATIC_BROKER_CONFIG | INT | read-only | log.retention.hours=168 "
    "STATIC_BROKER_CONFIG; log.retention.hours=168 DEFAULT_CONFIG;",
    "log.retention.minutes = null | DEFAULT_CONFIG | INT | read-only |",
    "log.retention.ms = null | DEFAULT_CONFIG | LONG |",
    "log.roll.hours = 100 | STATIC_BROKER_CONFIG | INT | read-only | log.roll.hours=100 "
    "STATIC_BROKER_CONFIG; log.roll.hours=168 DEFAULT_CONFIG;",
    "log.roll.jitter.hours = 1 | STATIC_BROKER_CONFIG | INT | read-only | log.roll.jitter.hours=1 "
    "STATIC_BROKER_CONFIG; log.roll.jitter.hours=0 DEFAULT_CONFIG;",
    "log.roll.jitter.ms = null | DEFAULT_CONFIG | LONG |",
    "log.roll.ms = null | DEFAULT_CONFIG | LONG |",
    "log.segment.bytes = 1073741824 | STATIC_BROKER_CONFIG | INT | log.segment.bytes=1073741824 "
    "STATIC_BROKER_CONFIG; log.segment.bytes=1073741824 DEFAULT_CONFIG;",
    "log.segment.delete.delay.ms = 60000 | DEFAULT_CONFIG | LONG | "
    "log.segment.delete.delay.ms=60000 DEFAULT_CONFIG;",
    "max.connection.creation.rate = 2147483647 | DEFAULT_CONFIG | INT | "
    "max.connection.creation.rate=2147483647 DEFAULT_CONFIG;",
    "max.connections = 2147483647 | DEFAULT_CONFIG | INT | max.connections=2147483647 "
    "DEFAULT_CONFIG;",
    "max.connections.per.ip = 2147483647 | DEFAULT_CONFIG | INT | "
    "max.connections.per.ip=2147483647 DEFAULT_CONFIG;",
    "max.connections.per.ip.overrides =  | DEFAULT_CONFIG | STRING | "
    "max.connections.per.ip.overrides= DEFAULT_CONFIG;",
    "max.decompressed.message.bytes = 2147483639 | DEFAULT_CONFIG | INT | "
    "max.decompressed.message.bytes=2147483639 DEFAULT_CONFIG;",
    "max.incremental.fetch.session.cache.slots = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "max.incremental.fetch.session.cache.slots=1000 DEFAULT_CONFIG;",
    "max.request.partition.size.limit = 2000 | DEFAULT_CONFIG | INT | read-only | "
    "max.request.partition.size.limit=2000 DEFAULT_CONFIG;",
    "message.max.bytes = 1048588 | DEFAULT_CONFIG | INT | message.max.bytes=1048588 "
    "DEFAULT_CONFIG;",
    "metadata.log.dir = null | DEFAULT_CONFIG | STRING | read-only |",
    "metadata.log.max.record.bytes.between.snapshots = 20971520 | DEFAULT_CONFIG | LONG | "
    "read-only | metadata.log.max.record.bytes.between.snapshots=20971520 DEFAULT_CONFIG;",
    "metadata.log.max.snapshot.interval.ms = 3600000 | DEFAULT_CONFIG | LONG | read-only | "
    "metadata.log.max.snapshot.interval.ms=3600000 DEFAULT_CONFIG;",
    "metadata.log.segment.bytes = 1073741824 | DEFAULT_CONFIG | INT | read-only | "
    "metadata.log.segment.bytes=1073741824 DEFAULT_CONFIG;",
    "metadata.log.segment.ms = 604800000 | DEFAULT_CONFIG | LONG | read-only | "
    "metadata.log.segment.ms=604800000 DEFAULT_CONFIG;",
    "metadata.max.idle.interval.ms = 500 | DEFAULT_CONFIG | INT | read-only | "
    "metadata.max.idle.interval.ms=500 DEFAULT_CONFIG;",
    "metadata.max.retention.bytes = 104857600 | DEFAULT_CONFIG | LONG | read-only | "
    "metadata.max.retention.bytes=104857600 DEFAULT_CONFIG;",
    "metadata.max.retention.ms = 604800000 | DEFAULT_CONFIG | LONG | read-only | "
    "metadata.max.retention.ms=604800000 DEFAULT_CONFIG;",
    "metric.reporters = org.apache.kafka.common.metrics.JmxReporter | DEFAULT_CONFIG | LIST | "
    "metric.reporters=org.apache.kafka.common.metrics.JmxReporter DEFAULT_CONFIG;",
    "metrics.num.samples = 2 | DEFAULT_CONFIG | INT | read-only | metrics.num.samples=2 "
    "DEFAULT_CONFIG;",
    "metrics.recording.level = INFO | DEFAULT_CONFIG | STRING | read-only | "
    "metrics.recording.level=INFO DEFAULT_CONFIG;",
    "metrics.sample.window.ms = 30000 | DEFAULT_CONFIG | LONG | read-only | "
    "metrics.sample.window.ms=30000 DEFAULT_CONFIG;",
    "min.insync.replicas = 1 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | min.insync.replicas=1 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; min.insync.replicas=1 DEFAULT_CONFIG;",
    "node.id = 1 | STATIC_BROKER_CONFIG | INT | read-only | node.id=1 STATIC_BROKER_CONFIG;",
    "num.io.threads = 8 | STATIC_BROKER_CONFIG | INT | num.io.threads=8 STATIC_BROKER_CONFIG; "
    "num.io.threads=8 DEFAULT_CONFIG;",
    "num.network.threads = 3 | STATIC_BROKER_CONFIG | INT | num.network.threads=3 "
    "STATIC_BROKER_CONFIG; num.network.threads=3 DEFAULT_CONFIG;",
    "num.partitions = 1 | STATIC_BROKER_CONFIG | INT | read-only | num.partitions=1 "
    "STATIC_BROKER_CONFIG; num.partitions=1 DEFAULT_CONFIG;",
    "num.recovery.threads.per.data.dir = 2 | STATIC_BROKER_CONFIG | INT | "
    "num.recovery.threads.per.data.dir=2 STATIC_BROKER_CONFIG; num.recovery.threads.per.data.dir=2 "
    "DEFAULT_CONFIG;",
    "num.replica.alter.log.dirs.threads = null | DEFAULT_CONFIG | INT | read-only |",
    "num.replica.fetchers = 1 | DEFAULT_CONFIG | INT | num.replica.fetchers=1 DEFAULT_CONFIG;",
    "offset.metadata.max.bytes = 4096 | DEFAULT_CONFIG | INT | read-only | "
    "offset.metadata.max.bytes=4096 DEFAULT_CONFIG;",
    "offsets.commit.timeout.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.commit.timeout.ms=5000 DEFAULT_CONFIG;",
    "offsets.load.buffer.size = 5242880 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.load.buffer.size=5242880 DEFAULT_CONFIG;",
    "offsets.retention.check.interval.ms = 600000 | DEFAULT_CONFIG | LONG | read-only | "
    "offsets.retention.check.interval.ms=600000 DEFAULT_CONFIG;",
    "offsets.retention.minutes = 10080 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.retention.minutes=10080 DEFAULT_CONFIG;",
    "offsets.topic.compression.codec = 0 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.topic.compression.codec=0 DEFAULT_CONFIG;",
    "offsets.topic.num.partitions = 50 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.topic.num.partitions=50 DEFAULT_CONFIG;",
    "offsets.topic.replication.factor = 1 | STATIC_BROKER_CONFIG | SHORT | read-only | "
    "offsets.topic.replication.factor=1 STATIC_BROKER_CONFIG; offsets.topic.replication.factor=3 "
    "DEFAULT_CONFIG;",
    "offsets.topic.segment.bytes = 104857600 | DEFAULT_CONFIG | INT | read-only | "
    "offsets.topic.segment.bytes=104857600 DEFAULT_CONFIG;",
    "principal.builder.class = "
    "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder | DEFAULT_CONFIG "
    "| CLASS | "
    "principal.builder.class=org.apache.kafka.common.security.authenticator."
    "DefaultKafkaPrincipalBuilder DEFAULT_CONFIG;",
    "process.roles = broker,controller | STATIC_BROKER_CONFIG | LIST | read-only | "
    "process.roles=broker,controller STATIC_BROKER_CONFIG;",
    "producer.id.expiration.ms = 86400000 | DEFAULT_CONFIG | INT | "
    "producer.id.expiration.ms=86400000 DEFAULT_CONFIG;",
    "producer.purgatory.purge.interval.requests = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "producer.purgatory.purge.interval.requests=1000 DEFAULT_CONFIG;",
    "queued.max.request.bytes = -1 | DEFAULT_CONFIG | LONG | read-only | "
    "queued.max.request.bytes=-1 DEFAULT_CONFIG;",
    "queued.max.requests = 500 | DEFAULT_CONFIG | INT | read-only | queued.max.requests=500 "
    "DEFAULT_CONFIG;",
    "quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | quota.window.num=11 "
    "DEFAULT_CONFIG;",
    "quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "remote.fetch.max.wait.ms = 500 | DEFAULT_CONFIG | INT | remote.fetch.max.wait.ms=500 "
    "DEFAULT_CONFIG;",
    "remote.list.offsets.request.timeout.ms = 30000 | DEFAULT_CONFIG | LONG | "
    "remote.list.offsets.request.timeout.ms=30000 DEFAULT_CONFIG;",
    "remote.log.index.file.cache.total.size.bytes = 1073741824 | DEFAULT_CONFIG | LONG | "
    "remote.log.index.file.cache.total.size.bytes=1073741824 DEFAULT_CONFIG;",
    "remote.log.manager.copier.thread.pool.size = 10 | DEFAULT_CONFIG | INT | "
    "remote.log.manager.copier.thread.pool.size=10 DEFAULT_CONFIG;",
    "remote.log.manager.copy.max.bytes.per.second = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "remote.log.manager.copy.max.bytes.per.second=9223372036854775807 DEFAULT_CONFIG;",
    "remote.log.manager.copy.quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.manager.copy.quota.window.num=11 DEFAULT_CONFIG;",
    "remote.log.manager.copy.quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.manager.copy.quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "remote.log.manager.expiration.thread.pool.size = 10 | DEFAULT_CONFIG | INT | "
    "remote.log.manager.expiration.thread.pool.size=10 DEFAULT_CONFIG;",
    "remote.log.manager.fetch.max.bytes.per.second = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "remote.log.manager.fetch.max.bytes.per.second=9223372036854775807 DEFAULT_CONFIG;",
    "remote.log.manager.fetch.quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.manager.fetch.quota.window.num=11 DEFAULT_CONFIG;",
    "remote.log.manager.fetch.quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.manager.fetch.quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "remote.log.manager.follower.thread.pool.size = 2 | DEFAULT_CONFIG | INT | "
    "remote.log.manager.follower.thread.pool.size=2 DEFAULT_CONFIG;",
    "remote.log.manager.task.interval.ms = 30000 | DEFAULT_CONFIG | LONG | read-only | "
    "remote.log.manager.task.interval.ms=30000 DEFAULT_CONFIG;",
    "remote.log.manager.thread.pool.size = 2 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.manager.thread.pool.size=2 DEFAULT_CONFIG;",
    "remote.log.metadata.custom.metadata.max.bytes = 128 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.metadata.custom.metadata.max.bytes=128 DEFAULT_CONFIG;",
    "remote.log.metadata.manager.class.name = "
    "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager | "
    "DEFAULT_CONFIG | STRING | read-only | "
    "remote.log.metadata.manager.class.name=org.apache.kafka.server.log.remote.metadata.storage."
    "TopicBasedRemoteLogMetadataManager DEFAULT_CONFIG;",
    "remote.log.metadata.manager.class.path = null | DEFAULT_CONFIG | STRING | read-only |",
    "remote.log.metadata.manager.impl.prefix = rlmm.config. | DEFAULT_CONFIG | STRING | read-only "
    "| remote.log.metadata.manager.impl.prefix=rlmm.config. DEFAULT_CONFIG;",
    "remote.log.metadata.manager.listener.name = null | DEFAULT_CONFIG | STRING | read-only |",
    "remote.log.reader.max.pending.tasks = 100 | DEFAULT_CONFIG | INT | read-only | "
    "remote.log.reader.max.pending.tasks=100 DEFAULT_CONFIG;",
    "remote.log.reader.threads = 10 | DEFAULT_CONFIG | INT | remote.log.reader.threads=10 "
    "DEFAULT_CONFIG;",
    "remote.log.storage.manager.class.name = null | DEFAULT_CONFIG | STRING | read-only |",
    "remote.log.storage.manager.class.path = null | DEFAULT_CONFIG | STRING | read-only |",
    "remote.log.storage.manager.impl.prefix = rsm.config. | DEFAULT_CONFIG | STRING | read-only | "
    "remote.log.storage.manager.impl.prefix=rsm.config. DEFAULT_CONFIG;",
    "remote.log.storage.system.enable = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "remote.log.storage.system.enable=false DEFAULT_CONFIG;",
    "replica.fetch.backoff.ms = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "replica.fetch.backoff.ms=1000 DEFAULT_CONFIG;",
    "replica.fetch.max.bytes = 1048576 | DEFAULT_CONFIG | INT | read-only | "
    "replica.fetch.max.bytes=1048576 DEFAULT_CONFIG;",
    "replica.fetch.min.bytes = 1 | DEFAULT_CONFIG | INT | read-only | replica.fetch.min.bytes=1 "
    "DEFAULT_CONFIG;",
    "replica.fetch.response.max.bytes = 10485760 | DEFAULT_CONFIG | INT | read-only | "
    "replica.fetch.response.max.bytes=10485760 DEFAULT_CONFIG;",
    "replica.fetch.wait.max.ms = 500 | DEFAULT_CONFIG | INT | read-only | "
    "replica.fetch.wait.max.ms=500 DEFAULT_CONFIG;",
    "replica.high.watermark.checkpoint.interval.ms = 5000 | DEFAULT_CONFIG | LONG | read-only | "
    "replica.high.watermark.checkpoint.interval.ms=5000 DEFAULT_CONFIG;",
    "replica.lag.time.max.ms = 30000 | DEFAULT_CONFIG | LONG | read-only | "
    "replica.lag.time.max.ms=30000 DEFAULT_CONFIG;",
    "replica.selector.class = null | DEFAULT_CONFIG | STRING | read-only |",
    "replica.socket.receive.buffer.bytes = 65536 | DEFAULT_CONFIG | INT | read-only | "
    "replica.socket.receive.buffer.bytes=65536 DEFAULT_CONFIG;",
    "replica.socket.timeout.ms = 30000 | DEFAULT_CONFIG | INT | read-only | "
    "replica.socket.timeout.ms=30000 DEFAULT_CONFIG;",
    "replication.quota.window.num = 11 | DEFAULT_CONFIG | INT | read-only | "
    "replication.quota.window.num=11 DEFAULT_CONFIG;",
    "replication.quota.window.size.seconds = 1 | DEFAULT_CONFIG | INT | read-only | "
    "replication.quota.window.size.seconds=1 DEFAULT_CONFIG;",
    "request.timeout.ms = 30000 | DEFAULT_CONFIG | INT | read-only | request.timeout.ms=30000 "
    "DEFAULT_CONFIG;",
    "sasl.client.callback.handler.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "sasl.enabled.mechanisms = GSSAPI | DEFAULT_CONFIG | LIST | sasl.enabled.mechanisms=GSSAPI "
    "DEFAULT_CONFIG;",
    "sasl.jaas.config = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "sasl.kerberos.kinit.cmd = /usr/bin/kinit | DEFAULT_CONFIG | STRING | "
    "sasl.kerberos.kinit.cmd=/usr/bin/kinit DEFAULT_CONFIG;",
    "sasl.kerberos.min.time.before.relogin = 60000 | DEFAULT_CONFIG | LONG | "
    "sasl.kerberos.min.time.before.relogin=60000 DEFAULT_CONFIG;",
    "sasl.kerberos.principal.to.local.rules = DEFAULT | DEFAULT_CONFIG | LIST | "
    "sasl.kerberos.principal.to.local.rules=DEFAULT DEFAULT_CONFIG;",
    "sasl.kerberos.service.name = null | DEFAULT_CONFIG | STRING |",
    "sasl.kerberos.ticket.renew.jitter = 0.05 | DEFAULT_CONFIG | DOUBLE | "
    "sasl.kerberos.ticket.renew.jitter=0.05 DEFAULT_CONFIG;",
    "sasl.kerberos.ticket.renew.window.factor = 0.8 | DEFAULT_CONFIG | DOUBLE | "
    "sasl.kerberos.ticket.renew.window.factor=0.8 DEFAULT_CONFIG;",
    "sasl.login.callback.handler.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "sasl.login.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "sasl.login.connect.timeout.ms = null | DEFAULT_CONFIG | INT | read-only |",
    "sasl.login.read.timeout.ms = null | DEFAULT_CONFIG | INT | read-only |",
    "sasl.login.refresh.buffer.seconds = 300 | DEFAULT_CONFIG | SHORT | "
    "sasl.login.refresh.buffer.seconds=300 DEFAULT_CONFIG;",
    "sasl.login.refresh.min.period.seconds = 60 | DEFAULT_CONFIG | SHORT | "
    "sasl.login.refresh.min.period.seconds=60 DEFAULT_CONFIG;",
    "sasl.login.refresh.window.factor = 0.8 | DEFAULT_CONFIG | DOUBLE | "
    "sasl.login.refresh.window.factor=0.8 DEFAULT_CONFIG;",
    "sasl.login.refresh.window.jitter = 0.05 | DEFAULT_CONFIG | DOUBLE | "
    "sasl.login.refresh.window.jitter=0.05 DEFAULT_CONFIG;",
    "sasl.login.retry.backoff.max.ms = 10000 | DEFAULT_CONFIG | LONG | read-only | "
    "sasl.login.retry.backoff.max.ms=10000 DEFAULT_CONFIG;",
    "sasl.login.retry.backoff.ms = 100 | DEFAULT_CONFIG | LONG | read-only | "
    "sasl.login.retry.backoff.ms=100 DEFAULT_CONFIG;",
    "sasl.mechanism.controller.protocol = GSSAPI | DEFAULT_CONFIG | STRING | read-only | "
    "sasl.mechanism.controller.protocol=GSSAPI DEFAULT_CONFIG;",
    "sasl.mechanism.inter.broker.protocol = GSSAPI | DEFAULT_CONFIG | STRING | "
    "sasl.mechanism.inter.broker.protocol=GSSAPI DEFAULT_CONFIG;",
    "sasl.oauthbearer.allow.unverified.audience = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "sasl.oauthbearer.allow.unverified.audience=false DEFAULT_CONFIG;",
    "sasl.oauthbearer.allow.unverified.issuer = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "sasl.oauthbearer.allow.unverified.issuer=false DEFAULT_CONFIG;",
    "sasl.oauthbearer.assertion.algorithm = RS256 | DEFAULT_CONFIG | STRING | read-only | "
    "sasl.oauthbearer.assertion.algorithm=RS256 DEFAULT_CONFIG;",
    "sasl.oauthbearer.assertion.claim.aud = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.assertion.claim.exp.seconds = 300 | DEFAULT_CONFIG | INT | read-only | "
    "sasl.oauthbearer.assertion.claim.exp.seconds=300 DEFAULT_CONFIG;",
    "sasl.oauthbearer.assertion.claim.iss = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.assertion.claim.jti.include = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "sasl.oauthbearer.assertion.claim.jti.include=false DEFAULT_CONFIG;",
    "sasl.oauthbearer.assertion.claim.nbf.seconds = 60 | DEFAULT_CONFIG | INT | read-only | "
    "sasl.oauthbearer.assertion.claim.nbf.seconds=60 DEFAULT_CONFIG;",
    "sasl.oauthbearer.assertion.claim.sub = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.assertion.file = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.assertion.private.key.file = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.assertion.private.key.passphrase = null | DEFAULT_CONFIG | PASSWORD | "
    "read-only | sensitive |",
    "sasl.oauthbearer.assertion.template.file = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.client.credentials.client.id = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.client.credentials.client.secret = null | DEFAULT_CONFIG | PASSWORD | "
    "read-only | sensitive |",
    "sasl.oauthbearer.clock.skew.seconds = 30 | DEFAULT_CONFIG | INT | read-only | "
    "sasl.oauthbearer.clock.skew.seconds=30 DEFAULT_CONFIG;",
    "sasl.oauthbearer.expected.audience =  | DEFAULT_CONFIG | LIST | read-only | "
    "sasl.oauthbearer.expected.audience= DEFAULT_CONFIG;",
    "sasl.oauthbearer.expected.issuer = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.jwks.endpoint.refresh.ms = 3600000 | DEFAULT_CONFIG | LONG | read-only | "
    "sasl.oauthbearer.jwks.endpoint.refresh.ms=3600000 DEFAULT_CONFIG;",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms = 10000 | DEFAULT_CONFIG | LONG | "
    "read-only | sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms=10000 DEFAULT_CONFIG;",
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms = 100 | DEFAULT_CONFIG | LONG | read-only | "
    "sasl.oauthbearer.jwks.endpoint.retry.backoff.ms=100 DEFAULT_CONFIG;",
    "sasl.oauthbearer.jwks.endpoint.url = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.jwt.retriever.class = "
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever | DEFAULT_CONFIG | CLASS | "
    "read-only | "
    "sasl.oauthbearer.jwt.retriever.class=org.apache.kafka.common.security.oauthbearer."
    "DefaultJwtRetriever DEFAULT_CONFIG;",
    "sasl.oauthbearer.jwt.validator.class = "
    "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator | DEFAULT_CONFIG | CLASS | "
    "read-only | "
    "sasl.oauthbearer.jwt.validator.class=org.apache.kafka.common.security.oauthbearer."
    "DefaultJwtValidator DEFAULT_CONFIG;",
    "sasl.oauthbearer.scope = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.oauthbearer.scope.claim.name = scope | DEFAULT_CONFIG | STRING | read-only | "
    "sasl.oauthbearer.scope.claim.name=scope DEFAULT_CONFIG;",
    "sasl.oauthbearer.sub.claim.name = sub | DEFAULT_CONFIG | STRING | read-only | "
    "sasl.oauthbearer.sub.claim.name=sub DEFAULT_CONFIG;",
    "sasl.oauthbearer.token.endpoint.url = null | DEFAULT_CONFIG | STRING | read-only |",
    "sasl.server.callback.handler.class = null | DEFAULT_CONFIG | CLASS | read-only |",
    "sasl.server.max.receive.size = 524288 | DEFAULT_CONFIG | INT | read-only | "
    "sasl.server.max.receive.size=524288 DEFAULT_CONFIG;",
    "security.inter.broker.protocol = PLAINTEXT | DEFAULT_CONFIG | STRING | read-only | "
    "security.inter.broker.protocol=PLAINTEXT DEFAULT_CONFIG;",
    "security.providers = null | DEFAULT_CONFIG | STRING | read-only |",
    "share.coordinator.append.linger.ms = -1 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.append.linger.ms=-1 DEFAULT_CONFIG;",
    "share.coordinator.cached.buffer.max.bytes = 1048588 | DEFAULT_CONFIG | INT | "
    "share.coordinator.cached.buffer.max.bytes=1048588 DEFAULT_CONFIG;",
    "share.coordinator.load.buffer.size = 5242880 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.load.buffer.size=5242880 DEFAULT_CONFIG;",
    "share.coordinator.snapshot.update.records.per.snapshot = 500 | DEFAULT_CONFIG | INT | "
    "read-only | share.coordinator.snapshot.update.records.per.snapshot=500 DEFAULT_CONFIG;",
    "share.coordinator.state.topic.compression.codec = 0 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.state.topic.compression.codec=0 DEFAULT_CONFIG;",
    "share.coordinator.state.topic.min.isr = 1 | STATIC_BROKER_CONFIG | SHORT | read-only | "
    "share.coordinator.state.topic.min.isr=1 STATIC_BROKER_CONFIG; "
    "share.coordinator.state.topic.min.isr=2 DEFAULT_CONFIG;",
    "share.coordinator.state.topic.num.partitions = 50 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.state.topic.num.partitions=50 DEFAULT_CONFIG;",
    "share.coordinator.state.topic.replication.factor = 1 | STATIC_BROKER_CONFIG | SHORT | "
    "read-only | share.coordinator.state.topic.replication.factor=1 STATIC_BROKER_CONFIG; "
    "share.coordinator.state.topic.replication.factor=3 DEFAULT_CONFIG;",
    "share.coordinator.state.topic.segment.bytes = 104857600 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.state.topic.segment.bytes=104857600 DEFAULT_CONFIG;",
    "share.coordinator.threads = 1 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.threads=1 DEFAULT_CONFIG;",
    "share.coordinator.write.timeout.ms = 5000 | DEFAULT_CONFIG | INT | read-only | "
    "share.coordinator.write.timeout.ms=5000 DEFAULT_CONFIG;",
    "share.fetch.purgatory.purge.interval.requests = 1000 | DEFAULT_CONFIG | INT | read-only | "
    "share.fetch.purgatory.purge.interval.requests=1000 DEFAULT_CONFIG;",
    "socket.connection.setup.timeout.max.ms = 30000 | DEFAULT_CONFIG | LONG | read-only | "
    "socket.connection.setup.timeout.max.ms=30000 DEFAULT_CONFIG;",
    "socket.connection.setup.timeout.ms = 10000 | DEFAULT_CONFIG | LONG | read-only | "
    "socket.connection.setup.timeout.ms=10000 DEFAULT_CONFIG;",
    "socket.listen.backlog.size = 50 | DEFAULT_CONFIG | INT | read-only | "
    "socket.listen.backlog.size=50 DEFAULT_CONFIG;",
    "socket.receive.buffer.bytes = 102400 | STATIC_BROKER_CONFIG | INT | read-only | "
    "socket.receive.buffer.bytes=102400 STATIC_BROKER_CONFIG; socket.receive.buffer.bytes=102400 "
    "DEFAULT_CONFIG;",
    "socket.request.max.bytes = 104857600 | STATIC_BROKER_CONFIG | INT | read-only | "
    "socket.request.max.bytes=104857600 STATIC_BROKER_CONFIG; socket.request.max.bytes=104857600 "
    "DEFAULT_CONFIG;",
    "socket.send.buffer.bytes = 102400 | STATIC_BROKER_CONFIG | INT | read-only | "
    "socket.send.buffer.bytes=102400 STATIC_BROKER_CONFIG; socket.send.buffer.bytes=102400 "
    "DEFAULT_CONFIG;",
    "ssl.allow.dn.changes = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "ssl.allow.dn.changes=false DEFAULT_CONFIG;",
    "ssl.allow.san.changes = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "ssl.allow.san.changes=false DEFAULT_CONFIG;",
    "ssl.cipher.suites =  | DEFAULT_CONFIG | LIST | ssl.cipher.suites= DEFAULT_CONFIG;",
    "ssl.client.auth = none | DEFAULT_CONFIG | STRING | ssl.client.auth=none DEFAULT_CONFIG;",
    "ssl.enabled.protocols = TLSv1.2,TLSv1.3 | DEFAULT_CONFIG | LIST | "
    "ssl.enabled.protocols=TLSv1.2,TLSv1.3 DEFAULT_CONFIG;",
    "ssl.endpoint.identification.algorithm = https | DEFAULT_CONFIG | STRING | "
    "ssl.endpoint.identification.algorithm=https DEFAULT_CONFIG;",
    "ssl.engine.factory.class = null | DEFAULT_CONFIG | CLASS |",
    "ssl.key.password = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.keymanager.algorithm = SunX509 | DEFAULT_CONFIG | STRING | "
    "ssl.keymanager.algorithm=SunX509 DEFAULT_CONFIG;",
    "ssl.keystore.certificate.chain = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.keystore.key = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.keystore.location = null | DEFAULT_CONFIG | STRING |",
    "ssl.keystore.password = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.keystore.type = JKS | DEFAULT_CONFIG | STRING | ssl.keystore.type=JKS DEFAULT_CONFIG;",
    "ssl.principal.mapping.rules = DEFAULT | DEFAULT_CONFIG | STRING | read-only | "
    "ssl.principal.mapping.rules=DEFAULT DEFAULT_CONFIG;",
    "ssl.protocol = TLSv1.3 | DEFAULT_CONFIG | STRING | ssl.protocol=TLSv1.3 DEFAULT_CONFIG;",
    "ssl.provider = null | DEFAULT_CONFIG | STRING |",
    "ssl.secure.random.implementation = null | DEFAULT_CONFIG | STRING |",
    "ssl.trustmanager.algorithm = PKIX | DEFAULT_CONFIG | STRING | ssl.trustmanager.algorithm=PKIX "
    "DEFAULT_CONFIG;",
    "ssl.truststore.certificates = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.truststore.location = null | DEFAULT_CONFIG | STRING |",
    "ssl.truststore.password = null | DEFAULT_CONFIG | PASSWORD | sensitive |",
    "ssl.truststore.type = JKS | DEFAULT_CONFIG | STRING | ssl.truststore.type=JKS DEFAULT_CONFIG;",
    "telemetry.max.bytes = 1048576 | DEFAULT_CONFIG | INT | read-only | "
    "telemetry.max.bytes=1048576 DEFAULT_CONFIG;",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms = 10000 | DEFAULT_CONFIG | INT | "
    "read-only | transaction.abort.timed.out.transaction.cleanup.interval.ms=10000 DEFAULT_CONFIG;",
    "transaction.max.timeout.ms = 900000 | DEFAULT_CONFIG | INT | read-only | "
    "transaction.max.timeout.ms=900000 DEFAULT_CONFIG;",
    "transaction.partition.verification.enable = true | DEFAULT_CONFIG | BOOLEAN | "
    "transaction.partition.verification.enable=true DEFAULT_CONFIG;",
    "transaction.remove.expired.transaction.cleanup.interval.ms = 3600000 | DEFAULT_CONFIG | INT | "
    "read-only | transaction.remove.expired.transaction.cleanup.interval.ms=3600000 "
    "DEFAULT_CONFIG;",
    "transaction.state.log.load.buffer.size = 5242880 | DEFAULT_CONFIG | INT | read-only | "
    "transaction.state.log.load.buffer.size=5242880 DEFAULT_CONFIG;",
    "transaction.state.log.min.isr = 1 | STATIC_BROKER_CONFIG | INT | read-only | "
    "transaction.state.log.min.isr=1 STATIC_BROKER_CONFIG; transaction.state.log.min.isr=2 "
    "DEFAULT_CONFIG;",
    "transaction.state.log.num.partitions = 50 | DEFAULT_CONFIG | INT | read-only | "
    "transaction.state.log.num.partitions=50 DEFAULT_CONFIG;",
    "transaction.state.log.replication.factor = 1 | STATIC_BROKER_CONFIG | SHORT | read-only | "
    "transaction.state.log.replication.factor=1 STATIC_BROKER_CONFIG; "
    "transaction.state.log.replication.factor=3 DEFAULT_CONFIG;",
    "transaction.state.log.segment.bytes = 104857600 | DEFAULT_CONFIG | INT | read-only | "
    "transaction.state.log.segment.bytes=104857600 DEFAULT_CONFIG;",
    "transaction.two.phase.commit.enable = false | DEFAULT_CONFIG | BOOLEAN | read-only | "
    "transaction.two.phase.commit.enable=false DEFAULT_CONFIG;",
    "transactional.id.expiration.ms = 604800000 | DEFAULT_CONFIG | INT | read-only | "
    "transactional.id.expiration.ms=604800000 DEFAULT_CONFIG;",
    "unclean.leader.election.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=false DEFAULT_CONFIG;",
};

static const char *const described_fresh_group[] = {
    "consumer.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.consumer.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "consumer.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.consumer.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "consumer.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | "
    "group.consumer.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "errors.deadletterqueue.copy.record.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "errors.deadletterqueue.copy.record.enable=false DEFAULT_CONFIG;",
    "errors.deadletterqueue.topic.name =  | DEFAULT_CONFIG | STRING | "
    "errors.deadletterqueue.topic.name= DEFAULT_CONFIG;",
    "share.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.share.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "share.auto.offset.reset = latest | DEFAULT_CONFIG | STRING | share.auto.offset.reset=latest "
    "DEFAULT_CONFIG;",
    "share.delivery.count.limit = 5 | DEFAULT_CONFIG | INT | group.share.delivery.count.limit=5 "
    "DEFAULT_CONFIG;",
    "share.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.share.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "share.isolation.level = read_uncommitted | DEFAULT_CONFIG | STRING | "
    "share.isolation.level=read_uncommitted DEFAULT_CONFIG;",
    "share.partition.max.record.locks = 2000 | DEFAULT_CONFIG | INT | "
    "group.share.partition.max.record.locks=2000 DEFAULT_CONFIG;",
    "share.record.lock.duration.ms = 30000 | DEFAULT_CONFIG | INT | "
    "group.share.record.lock.duration.ms=30000 DEFAULT_CONFIG;",
    "share.renew.acknowledge.enable = true | DEFAULT_CONFIG | BOOLEAN | "
    "share.renew.acknowledge.enable=true DEFAULT_CONFIG;",
    "share.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | "
    "group.share.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "streams.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.streams.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "streams.assignor.name = sticky | DEFAULT_CONFIG | STRING | group.streams.assignors=sticky "
    "DEFAULT_CONFIG;",
    "streams.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.streams.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "streams.initial.rebalance.delay.ms = 3000 | DEFAULT_CONFIG | INT | "
    "group.streams.initial.rebalance.delay.ms=3000 DEFAULT_CONFIG;",
    "streams.num.standby.replicas = 0 | DEFAULT_CONFIG | INT | "
    "group.streams.num.standby.replicas=0 DEFAULT_CONFIG;",
    "streams.rack.aware.assignment.tags =  | DEFAULT_CONFIG | LIST | "
    "group.streams.rack.aware.assignment.tags= DEFAULT_CONFIG;",
    "streams.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | "
    "group.streams.session.timeout.ms=45000 DEFAULT_CONFIG;",
};

static const char *const described_fresh_client_metrics[] = {
    "interval.ms = 300000 | DEFAULT_CONFIG | INT |",
    "match =  | DEFAULT_CONFIG | LIST |",
    "metrics =  | DEFAULT_CONFIG | LIST |",
};

/* After the changes; of the broker only the lines that differ. */
static const char *const described_topic[] = {
    "cleanup.policy = compact,delete | DYNAMIC_DEFAULT_BROKER_CONFIG | LIST | "
    "log.cleanup.policy=compact , delete DYNAMIC_DEFAULT_BROKER_CONFIG; log.cleanup.policy=delete "
    "DEFAULT_CONFIG;",
    "compression.gzip.level = -1 | DEFAULT_CONFIG | INT | compression.gzip.level=-1 "
    "DEFAULT_CONFIG;",
    "compression.lz4.level = 9 | DEFAULT_CONFIG | INT | compression.lz4.level=9 DEFAULT_CONFIG;",
    "compression.type = gzip | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | compression.type= gzip  "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; compression.type=producer DEFAULT_CONFIG;",
    "compression.zstd.level = 3 | DEFAULT_CONFIG | INT | compression.zstd.level=3 DEFAULT_CONFIG;",
    "delete.retention.ms = 86400000 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.delete.retention.ms=86400000 DEFAULT_CONFIG;",
    "errors.deadletterqueue.group.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "file.delete.delay.ms = 60000 | DEFAULT_CONFIG | LONG | log.segment.delete.delay.ms=60000 "
    "DEFAULT_CONFIG;",
    "flush.messages = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.flush.interval.messages=9223372036854775807 DEFAULT_CONFIG;",
    "flush.ms = 77 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | log.flush.interval.ms=77 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; log.flush.scheduler.interval.ms=9223372036854775807 "
    "DEFAULT_CONFIG;",
    "follower.replication.throttled.replicas =  | DEFAULT_CONFIG | LIST |",
    "index.interval.bytes = 4096 | DEFAULT_CONFIG | INT | log.index.interval.bytes=4096 "
    "DEFAULT_CONFIG;",
    "leader.replication.throttled.replicas =  | DEFAULT_CONFIG | LIST |",
    "local.retention.bytes = -2 | DEFAULT_CONFIG | LONG | log.local.retention.bytes=-2 "
    "DEFAULT_CONFIG;",
    "local.retention.ms = -2 | DEFAULT_CONFIG | LONG | log.local.retention.ms=-2 DEFAULT_CONFIG;",
    "max.compaction.lag.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.max.compaction.lag.ms=9223372036854775807 DEFAULT_CONFIG;",
    "max.decompressed.message.bytes = 2147483639 | DEFAULT_CONFIG | INT | "
    "max.decompressed.message.bytes=2147483639 DEFAULT_CONFIG;",
    "max.message.bytes = 2000000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | message.max.bytes=2000000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; message.max.bytes=1048588 DEFAULT_CONFIG;",
    "message.timestamp.after.max.ms = 3600000 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.after.max.ms=3600000 DEFAULT_CONFIG;",
    "message.timestamp.before.max.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.before.max.ms=9223372036854775807 DEFAULT_CONFIG;",
    "message.timestamp.type = CreateTime | DEFAULT_CONFIG | STRING | "
    "log.message.timestamp.type=CreateTime DEFAULT_CONFIG;",
    "min.cleanable.dirty.ratio = 0.5 | DEFAULT_CONFIG | DOUBLE | "
    "log.cleaner.min.cleanable.ratio=0.5 DEFAULT_CONFIG;",
    "min.compaction.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.cleaner.min.compaction.lag.ms=0 "
    "DEFAULT_CONFIG;",
    "min.insync.replicas = 1 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | min.insync.replicas=1 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; min.insync.replicas=1 DEFAULT_CONFIG;",
    "preallocate = false | DEFAULT_CONFIG | BOOLEAN | log.preallocate=false DEFAULT_CONFIG;",
    "remote.copy.lag.bytes = -1 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.bytes=-1 "
    "DEFAULT_CONFIG;",
    "remote.copy.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.ms=0 DEFAULT_CONFIG;",
    "remote.log.copy.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.log.delete.on.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.storage.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "retention.bytes = -1 | DEFAULT_CONFIG | LONG | log.retention.bytes=-1 DEFAULT_CONFIG;",
    "retention.ms = 1000 | DYNAMIC_BROKER_CONFIG | LONG | log.retention.ms=1000 "
    "DYNAMIC_BROKER_CONFIG; log.retention.ms=2000 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "log.retention.hours=168 STATIC_BROKER_CONFIG; log.retention.hours=168 DEFAULT_CONFIG;",
    "segment.bytes = 1073741824 | STATIC_BROKER_CONFIG | INT | log.segment.bytes=1073741824 "
    "STATIC_BROKER_CONFIG; log.segment.bytes=1073741824 DEFAULT_CONFIG;",
    "segment.index.bytes = 10485760 | DEFAULT_CONFIG | INT | log.index.size.max.bytes=10485760 "
    "DEFAULT_CONFIG;",
    "segment.jitter.ms = 3600000 | DEFAULT_CONFIG | LONG |",
    "segment.ms = 5000 | DYNAMIC_BROKER_CONFIG | LONG | log.roll.ms= 5000  DYNAMIC_BROKER_CONFIG; "
    "log.roll.hours=100 STATIC_BROKER_CONFIG; log.roll.hours=168 DEFAULT_CONFIG;",
    "unclean.leader.election.enable = true | DYNAMIC_DEFAULT_BROKER_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=true DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "unclean.leader.election.enable=false DEFAULT_CONFIG;",
};

static const char *const described_topic_with_overrides[] = {
    "cleanup.policy = compact,delete | DYNAMIC_TOPIC_CONFIG | LIST | cleanup.policy=compact,delete "
    "DYNAMIC_TOPIC_CONFIG; log.cleanup.policy=compact , delete DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "log.cleanup.policy=delete DEFAULT_CONFIG;",
    "compression.gzip.level = -1 | DEFAULT_CONFIG | INT | compression.gzip.level=-1 "
    "DEFAULT_CONFIG;",
    "compression.lz4.level = 9 | DEFAULT_CONFIG | INT | compression.lz4.level=9 DEFAULT_CONFIG;",
    "compression.type = gzip | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | compression.type= gzip  "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; compression.type=producer DEFAULT_CONFIG;",
    "compression.zstd.level = 3 | DEFAULT_CONFIG | INT | compression.zstd.level=3 DEFAULT_CONFIG;",
    "delete.retention.ms = 86400000 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.delete.retention.ms=86400000 DEFAULT_CONFIG;",
    "errors.deadletterqueue.group.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "file.delete.delay.ms = 60000 | DEFAULT_CONFIG | LONG | log.segment.delete.delay.ms=60000 "
    "DEFAULT_CONFIG;",
    "flush.messages = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.flush.interval.messages=9223372036854775807 DEFAULT_CONFIG;",
    "flush.ms = 77 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | log.flush.interval.ms=77 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; log.flush.scheduler.interval.ms=9223372036854775807 "
    "DEFAULT_CONFIG;",
    "follower.replication.throttled.replicas =  | DEFAULT_CONFIG | LIST |",
    "index.interval.bytes = 4096 | DEFAULT_CONFIG | INT | log.index.interval.bytes=4096 "
    "DEFAULT_CONFIG;",
    "internal.segment.bytes = 4096 | DYNAMIC_TOPIC_CONFIG | INT | internal.segment.bytes=4096 "
    "DYNAMIC_TOPIC_CONFIG;",
    "leader.replication.throttled.replicas = 0:1, | DYNAMIC_TOPIC_CONFIG | LIST | "
    "leader.replication.throttled.replicas=0:1, DYNAMIC_TOPIC_CONFIG;",
    "local.retention.bytes = 5000 | DYNAMIC_TOPIC_CONFIG | LONG | local.retention.bytes=5000 "
    "DYNAMIC_TOPIC_CONFIG; log.local.retention.bytes=-2 DEFAULT_CONFIG;",
    "local.retention.ms = -2 | DEFAULT_CONFIG | LONG | log.local.retention.ms=-2 DEFAULT_CONFIG;",
    "max.compaction.lag.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.cleaner.max.compaction.lag.ms=9223372036854775807 DEFAULT_CONFIG;",
    "max.decompressed.message.bytes = 2147483639 | DEFAULT_CONFIG | INT | "
    "max.decompressed.message.bytes=2147483639 DEFAULT_CONFIG;",
    "max.message.bytes = 2000000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | message.max.bytes=2000000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; message.max.bytes=1048588 DEFAULT_CONFIG;",
    "message.timestamp.after.max.ms = 3600000 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.after.max.ms=3600000 DEFAULT_CONFIG;",
    "message.timestamp.before.max.ms = 9223372036854775807 | DEFAULT_CONFIG | LONG | "
    "log.message.timestamp.before.max.ms=9223372036854775807 DEFAULT_CONFIG;",
    "message.timestamp.type = CreateTime | DEFAULT_CONFIG | STRING | "
    "log.message.timestamp.type=CreateTime DEFAULT_CONFIG;",
    "min.cleanable.dirty.ratio = 0.01 | DYNAMIC_TOPIC_CONFIG | DOUBLE | "
    "min.cleanable.dirty.ratio=0.01 DYNAMIC_TOPIC_CONFIG; log.cleaner.min.cleanable.ratio=0.5 "
    "DEFAULT_CONFIG;",
    "min.compaction.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.cleaner.min.compaction.lag.ms=0 "
    "DEFAULT_CONFIG;",
    "min.insync.replicas = 5 | DYNAMIC_TOPIC_CONFIG | INT | min.insync.replicas=5 "
    "DYNAMIC_TOPIC_CONFIG; min.insync.replicas=1 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "min.insync.replicas=1 DEFAULT_CONFIG;",
    "preallocate = true | DYNAMIC_TOPIC_CONFIG | BOOLEAN | preallocate=true DYNAMIC_TOPIC_CONFIG; "
    "log.preallocate=false DEFAULT_CONFIG;",
    "remote.copy.lag.bytes = -1 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.bytes=-1 "
    "DEFAULT_CONFIG;",
    "remote.copy.lag.ms = 0 | DEFAULT_CONFIG | LONG | log.remote.copy.lag.ms=0 DEFAULT_CONFIG;",
    "remote.log.copy.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.log.delete.on.disable = false | DEFAULT_CONFIG | BOOLEAN |",
    "remote.storage.enable = false | DEFAULT_CONFIG | BOOLEAN |",
    "retention.bytes = 100000 | DYNAMIC_TOPIC_CONFIG | LONG | retention.bytes=100000 "
    "DYNAMIC_TOPIC_CONFIG; log.retention.bytes=-1 DEFAULT_CONFIG;",
    "retention.ms = 1000 | DYNAMIC_TOPIC_CONFIG | LONG | retention.ms=1000 DYNAMIC_TOPIC_CONFIG; "
    "log.retention.ms=1000 DYNAMIC_BROKER_CONFIG; log.retention.ms=2000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; log.retention.hours=168 STATIC_BROKER_CONFIG; "
    "log.retention.hours=168 DEFAULT_CONFIG;",
    "segment.bytes = 2000000 | DYNAMIC_TOPIC_CONFIG | INT | segment.bytes=2000000 "
    "DYNAMIC_TOPIC_CONFIG; log.segment.bytes=1073741824 STATIC_BROKER_CONFIG; "
    "log.segment.bytes=1073741824 DEFAULT_CONFIG;",
    "segment.index.bytes = 10485760 | DEFAULT_CONFIG | INT | log.index.size.max.bytes=10485760 "
    "DEFAULT_CONFIG;",
    "segment.jitter.ms = 3600000 | DEFAULT_CONFIG | LONG |",
    "segment.ms = 5000 | DYNAMIC_BROKER_CONFIG | LONG | log.roll.ms= 5000  DYNAMIC_BROKER_CONFIG; "
    "log.roll.hours=100 STATIC_BROKER_CONFIG; log.roll.hours=168 DEFAULT_CONFIG;",
    "unclean.leader.election.enable = true | DYNAMIC_DEFAULT_BROKER_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=true DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "unclean.leader.election.enable=false DEFAULT_CONFIG;",
};

static const char *const described_broker_default[] = {
    "compression.type =  gzip  | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | compression.type= gzip  "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "leader.replication.throttled.rate = 200 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | "
    "leader.replication.throttled.rate=200 DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "listener.name.plaintext.max.connections = 10 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | "
    "read-only | listener.name.plaintext.max.connections=10 DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "log.cleaner.threads = 2 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | log.cleaner.threads=2 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "log.cleanup.policy = compact , delete | DYNAMIC_DEFAULT_BROKER_CONFIG | LIST | "
    "log.cleanup.policy=compact , delete DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "log.flush.interval.ms = 77 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | log.flush.interval.ms=77 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "log.retention.ms = 2000 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | log.retention.ms=2000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "max.connections.per.ip.overrides = 127.0.0.1:5 | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | "
    "max.connections.per.ip.overrides=127.0.0.1:5 DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "message.max.bytes = 2000000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | message.max.bytes=2000000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "min.insync.replicas = 1 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | min.insync.replicas=1 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "nope = null | DYNAMIC_DEFAULT_BROKER_CONFIG | UNKNOWN | read-only | sensitive | nope=null "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "producer.id.expiration.ms = 5000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | "
    "producer.id.expiration.ms=5000 DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "unclean.leader.election.enable = true | DYNAMIC_DEFAULT_BROKER_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=true DYNAMIC_DEFAULT_BROKER_CONFIG;",
};

static const char *const described_group[] = {
    "consumer.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.consumer.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "consumer.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.consumer.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "consumer.session.timeout.ms = 46000 | DYNAMIC_GROUP_CONFIG | INT | "
    "consumer.session.timeout.ms=46000 DYNAMIC_GROUP_CONFIG; "
    "group.consumer.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "errors.deadletterqueue.copy.record.enable = false | DEFAULT_CONFIG | BOOLEAN | "
    "errors.deadletterqueue.copy.record.enable=false DEFAULT_CONFIG;",
    "errors.deadletterqueue.topic.name = a b | DYNAMIC_GROUP_CONFIG | STRING | "
    "errors.deadletterqueue.topic.name=a b DYNAMIC_GROUP_CONFIG; "
    "errors.deadletterqueue.topic.name= DEFAULT_CONFIG;",
    "share.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.share.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "share.auto.offset.reset = latest | DEFAULT_CONFIG | STRING | share.auto.offset.reset=latest "
    "DEFAULT_CONFIG;",
    "share.delivery.count.limit = 5 | DEFAULT_CONFIG | INT | group.share.delivery.count.limit=5 "
    "DEFAULT_CONFIG;",
    "share.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.share.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "share.isolation.level = read_uncommitted | DEFAULT_CONFIG | STRING | "
    "share.isolation.level=read_uncommitted DEFAULT_CONFIG;",
    "share.partition.max.record.locks = 2000 | DEFAULT_CONFIG | INT | "
    "group.share.partition.max.record.locks=2000 DEFAULT_CONFIG;",
    "share.record.lock.duration.ms = 30000 | DEFAULT_CONFIG | INT | "
    "group.share.record.lock.duration.ms=30000 DEFAULT_CONFIG;",
    "share.renew.acknowledge.enable = true | DEFAULT_CONFIG | BOOLEAN | "
    "share.renew.acknowledge.enable=true DEFAULT_CONFIG;",
    "share.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | "
    "group.share.session.timeout.ms=45000 DEFAULT_CONFIG;",
    "streams.assignment.interval.ms = 1000 | DEFAULT_CONFIG | INT | "
    "group.streams.assignment.interval.ms=1000 DEFAULT_CONFIG;",
    "streams.assignor.name = sticky | DEFAULT_CONFIG | STRING | group.streams.assignors=sticky "
    "DEFAULT_CONFIG;",
    "streams.heartbeat.interval.ms = 5000 | DEFAULT_CONFIG | INT | "
    "group.streams.heartbeat.interval.ms=5000 DEFAULT_CONFIG;",
    "streams.initial.rebalance.delay.ms = 3000 | DEFAULT_CONFIG | INT | "
    "group.streams.initial.rebalance.delay.ms=3000 DEFAULT_CONFIG;",
    "streams.num.standby.replicas = 0 | DEFAULT_CONFIG | INT | "
    "group.streams.num.standby.replicas=0 DEFAULT_CONFIG;",
    "streams.rack.aware.assignment.tags =  | DEFAULT_CONFIG | LIST | "
    "group.streams.rack.aware.assignment.tags= DEFAULT_CONFIG;",
    "streams.session.timeout.ms = 45000 | DEFAULT_CONFIG | INT | "
    "group.streams.session.timeout.ms=45000 DEFAULT_CONFIG;",
};

static const char *const described_client_metrics[] = {
    "interval.ms = 1000 | DYNAMIC_CLIENT_METRICS_CONFIG | INT | interval.ms=1000 "
    "DYNAMIC_CLIENT_METRICS_CONFIG;",
    "match =  | DEFAULT_CONFIG | LIST |",
    "metrics = a,b | DYNAMIC_CLIENT_METRICS_CONFIG | LIST | metrics=a,b "
    "DYNAMIC_CLIENT_METRICS_CONFIG;",
};

static const char *const described_broker_changed[] = {
    "compression.type = gzip | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | compression.type= gzip  "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; compression.type=producer DEFAULT_CONFIG;",
    "leader.replication.throttled.rate = 100 | DYNAMIC_BROKER_CONFIG | LONG | "
    "leader.replication.throttled.rate=100 DYNAMIC_BROKER_CONFIG; "
    "leader.replication.throttled.rate=200 DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "listener.name.foo.max.connections = 12 | DYNAMIC_BROKER_CONFIG | INT | read-only | "
    "listener.name.foo.max.connections=12 DYNAMIC_BROKER_CONFIG; max.connections=2147483647 "
    "DEFAULT_CONFIG;",
    "listener.name.plaintext.max.connections = 11 | DYNAMIC_BROKER_CONFIG | INT | read-only | "
    "listener.name.plaintext.max.connections=11 DYNAMIC_BROKER_CONFIG; "
    "listener.name.plaintext.max.connections=10 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "max.connections=2147483647 DEFAULT_CONFIG;",
    "listener.name.plaintext.nope = null | DYNAMIC_BROKER_CONFIG | UNKNOWN | read-only | sensitive "
    "| listener.name.plaintext.nope=null DYNAMIC_BROKER_CONFIG; nope=null "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "listener.name.plaintext.sasl.jaas.config = null | DYNAMIC_BROKER_CONFIG | PASSWORD | "
    "read-only | sensitive | listener.name.plaintext.sasl.jaas.config=null DYNAMIC_BROKER_CONFIG;",
    "log.cleaner.io.max.bytes.per.second = 1.0E9 | DYNAMIC_BROKER_CONFIG | DOUBLE | "
    "log.cleaner.io.max.bytes.per.second=1e9 DYNAMIC_BROKER_CONFIG; "
    "log.cleaner.io.max.bytes.per.second=1.7976931348623157E308 DEFAULT_CONFIG;",
    "log.cleaner.threads = 2 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | log.cleaner.threads=2 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; log.cleaner.threads=1 DEFAULT_CONFIG;",
    "log.cleanup.policy = compact,delete | DYNAMIC_DEFAULT_BROKER_CONFIG | LIST | "
    "log.cleanup.policy=compact , delete DYNAMIC_DEFAULT_BROKER_CONFIG; log.cleanup.policy=delete "
    "DEFAULT_CONFIG;",
    "log.flush.interval.ms = 77 | DYNAMIC_DEFAULT_BROKER_CONFIG | LONG | log.flush.interval.ms=77 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; log.flush.scheduler.interval.ms=9223372036854775807 "
    "DEFAULT_CONFIG;",
    "log.retention.ms = 1000 | DYNAMIC_BROKER_CONFIG | LONG | log.retention.ms=1000 "
    "DYNAMIC_BROKER_CONFIG; log.retention.ms=2000 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "log.retention.hours=168 STATIC_BROKER_CONFIG; log.retention.hours=168 DEFAULT_CONFIG;",
    "log.roll.hours = 168 | STATIC_BROKER_CONFIG | INT | read-only | log.roll.hours=100 "
    "STATIC_BROKER_CONFIG; log.roll.hours=168 DEFAULT_CONFIG;",
    "log.roll.ms = 5000 | DYNAMIC_BROKER_CONFIG | LONG | log.roll.ms= 5000  DYNAMIC_BROKER_CONFIG; "
    "log.roll.hours=100 STATIC_BROKER_CONFIG; log.roll.hours=168 DEFAULT_CONFIG;",
    "max.connections.per.ip.overrides = 127.0.0.1:5 | DYNAMIC_DEFAULT_BROKER_CONFIG | STRING | "
    "max.connections.per.ip.overrides=127.0.0.1:5 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "max.connections.per.ip.overrides= DEFAULT_CONFIG;",
    "message.max.bytes = 2000000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | message.max.bytes=2000000 "
    "DYNAMIC_DEFAULT_BROKER_CONFIG; message.max.bytes=1048588 DEFAULT_CONFIG;",
    "nope = null | DYNAMIC_DEFAULT_BROKER_CONFIG | UNKNOWN | read-only | sensitive | nope=null "
    "DYNAMIC_DEFAULT_BROKER_CONFIG;",
    "nope.custom = null | DYNAMIC_BROKER_CONFIG | UNKNOWN | read-only | sensitive | "
    "nope.custom=null DYNAMIC_BROKER_CONFIG;",
    "producer.id.expiration.ms = 5000 | DYNAMIC_DEFAULT_BROKER_CONFIG | INT | "
    "producer.id.expiration.ms=5000 DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "producer.id.expiration.ms=86400000 DEFAULT_CONFIG;",
    "unclean.leader.election.enable = true | DYNAMIC_DEFAULT_BROKER_CONFIG | BOOLEAN | "
    "unclean.leader.election.enable=true DYNAMIC_DEFAULT_BROKER_CONFIG; "
    "unclean.leader.election.enable=false DEFAULT_CONFIG;",
};

#endif
