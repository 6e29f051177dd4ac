import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.FeatureMetadata;
import org.apache.kafka.clients.admin.ListOffsetsResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The Java admin client: one operation a request, named by `call`. */
final class Administration {
    private static final Map<Map<String, Object>, Admin> ADMINS = new HashMap<>();

    private Administration() {
    }

    private static synchronized Admin admin(JsonNode request) {
        return ADMINS.computeIfAbsent(Records.config(request), Admin::create);
    }

    private static TopicPartition partition(JsonNode request) {
        return new TopicPartition(request.get("topic").asText(), request.get("partition").asInt());
    }

    private static ConfigResource resource(JsonNode request) {
        ConfigResource.Type type = ConfigResource.Type.valueOf(request.get("kind").asText().toUpperCase());
        return new ConfigResource(type, request.get("name").asText());
    }

    private static ObjectNode json(Node node) {
        return Driver.JSON.createObjectNode().put("id", node.id()).put("host", node.host()).put("port", node.port());
    }

    private static JsonNode createTopic(Admin admin, JsonNode request) throws Exception {
        String name = request.get("topic").asText();
        Optional<Integer> partitions =
                request.hasNonNull("partitions") ? Optional.of(request.get("partitions").asInt()) : Optional.empty();
        NewTopic topic = new NewTopic(name, partitions,
                request.has("replication") ? Optional.of((short) request.get("replication").asInt()) : Optional.empty());
        Map<String, String> configs = new HashMap<>();
        request.get("configs").properties().forEach(entry -> configs.put(entry.getKey(), entry.getValue().asText()));
        topic.configs(configs);
        boolean only = request.has("validate_only") && request.get("validate_only").asBoolean();
        CreateTopicsResult created = admin.createTopics(List.of(topic), new CreateTopicsOptions().validateOnly(only));
        created.all().get();
        ObjectNode node = Driver.JSON.createObjectNode();
        if (only)
            return node;
        node.put("id", created.topicId(name).get().toString()).put("partitions", created.numPartitions(name).get())
                .put("replication", created.replicationFactor(name).get());
        created.config(name).get().entries().forEach(entry -> node.withObject("/configs").put(entry.name(), entry.value()));
        return node;
    }

    private static JsonNode describeTopic(Admin admin, JsonNode request) throws Exception {
        TopicDescription topic =
                admin.describeTopics(List.of(request.get("topic").asText())).allTopicNames().get().values().iterator().next();
        ObjectNode node = Driver.JSON.createObjectNode().put("id", topic.topicId().toString()).put("internal", topic.isInternal());
        ArrayNode partitions = node.putArray("partitions");
        for (TopicPartitionInfo one : topic.partitions()) {
            ObjectNode item = partitions.addObject().put("partition", one.partition())
                    .put("leader", one.leader() == null ? -1 : one.leader().id());
            one.replicas().forEach(replica -> item.withArray("/replicas").add(replica.id()));
            one.isr().forEach(replica -> item.withArray("/isr").add(replica.id()));
        }
        return node;
    }

    private static JsonNode describeCluster(Admin admin) throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        ObjectNode node = Driver.JSON.createObjectNode().put("cluster_id", cluster.clusterId().get());
        node.set("controller", json(cluster.controller().get()));
        for (Node one : cluster.nodes().get())
            node.withArray("/nodes").add(json(one));
        return node;
    }

    private static JsonNode describeConfigs(Admin admin, JsonNode request) throws Exception {
        ConfigResource resource = resource(request);
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        ObjectNode node = Driver.JSON.createObjectNode();
        for (ConfigEntry entry : admin.describeConfigs(Set.of(resource), options).all().get().get(resource).entries()) {
            ObjectNode item = node.putObject(entry.name()).put("value", entry.value()).put("source", entry.source().name())
                    .put("read_only", entry.isReadOnly()).put("sensitive", entry.isSensitive()).put("type", entry.type().name());
            entry.synonyms().forEach(synonym -> item.withArray("/synonyms").add(synonym.source().name() + ":" + synonym.name()
                    + "=" + synonym.value()));
        }
        return node;
    }

    private static JsonNode alterConfigs(Admin admin, JsonNode request) throws Exception {
        List<AlterConfigOp> operations = new ArrayList<>();
        request.get("changes").forEach(change -> operations.add(new AlterConfigOp(
                new ConfigEntry(change.get(0).asText(), change.get(1).isNull() ? null : change.get(1).asText()),
                AlterConfigOp.OpType.valueOf(change.get(2).asText()))));
        Map<ConfigResource, Collection<AlterConfigOp>> all = Map.of(resource(request), operations);
        admin.incrementalAlterConfigs(all).all().get();
        return Driver.JSON.createObjectNode();
    }

    private static JsonNode listOffsets(Admin admin, JsonNode request) throws Exception {
        OffsetSpec spec;
        switch (request.get("spec").asText()) {
            case "earliest":
                spec = OffsetSpec.earliest();
                break;
            case "latest":
                spec = OffsetSpec.latest();
                break;
            case "max-timestamp":
                spec = OffsetSpec.maxTimestamp();
                break;
            case "earliest-local":
                spec = OffsetSpec.earliestLocal();
                break;
            case "latest-tiered":
                spec = OffsetSpec.latestTiered();
                break;
            default:
                spec = OffsetSpec.forTimestamp(request.get("spec").asLong());
        }
        ListOffsetsResult.ListOffsetsResultInfo found =
                admin.listOffsets(Map.of(partition(request), spec)).all().get().get(partition(request));
        return Driver.JSON.createObjectNode().put("offset", found.offset()).put("timestamp", found.timestamp())
                .put("leader_epoch", found.leaderEpoch().orElse(-1));
    }

    private static JsonNode describeLogDirs(Admin admin, JsonNode request) throws Exception {
        ObjectNode node = Driver.JSON.createObjectNode();
        admin.describeLogDirs(List.of(request.get("broker").asInt())).allDescriptions().get().values().forEach(dirs ->
                dirs.forEach((path, dir) -> {
                    ObjectNode item = node.putObject(path).put("total", dir.totalBytes().orElse(-1))
                            .put("usable", dir.usableBytes().orElse(-1));
                    item.put("error", dir.error() == null ? null : dir.error().getMessage());
                    dir.replicaInfos().forEach((partition, info) ->
                            item.withObject("/replicas").put(partition.toString(), info.size()));
                }));
        return node;
    }

    private static JsonNode describeQuorum(Admin admin) throws Exception {
        QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
        ObjectNode node = Driver.JSON.createObjectNode().put("leader", quorum.leaderId())
                .put("epoch", quorum.leaderEpoch()).put("high_watermark", quorum.highWatermark());
        quorum.voters().forEach(voter -> node.withArray("/voters").add(voter.replicaId()));
        quorum.observers().forEach(observer -> node.withArray("/observers").add(observer.replicaId()));
        return node;
    }

    private static JsonNode describeProducers(Admin admin, JsonNode request) throws Exception {
        ArrayNode node = Driver.JSON.createArrayNode();
        for (ProducerState state : admin.describeProducers(List.of(partition(request))).partitionResult(partition(request)).get()
                .activeProducers())
            node.addObject().put("id", state.producerId()).put("epoch", state.producerEpoch()).put("sequence", state.lastSequence());
        return node;
    }

    private static JsonNode describeFeatures(Admin admin) throws Exception {
        FeatureMetadata features = admin.describeFeatures().featureMetadata().get();
        ObjectNode node = Driver.JSON.createObjectNode();
        features.finalizedFeatures().forEach((name, range) ->
                node.withObject("/finalized").put(name, (int) range.maxVersionLevel()));
        features.supportedFeatures().forEach((name, range) ->
                node.withObject("/supported").putArray(name).add((int) range.minVersion()).add((int) range.maxVersion()));
        return node;
    }

    static JsonNode run(JsonNode request) throws Exception {
        Admin admin = admin(request);
        ObjectNode done = Driver.JSON.createObjectNode();
        switch (request.get("call").asText()) {
            case "create_topic":
                return createTopic(admin, request);
            case "delete_topic":
                admin.deleteTopics(List.of(request.get("topic").asText())).all().get();
                return done;
            case "list_topics":
                return Driver.JSON.valueToTree(admin.listTopics().names().get());
            case "describe_topic":
                return describeTopic(admin, request);
            case "create_partitions":
                admin.createPartitions(Map.of(request.get("topic").asText(),
                        NewPartitions.increaseTo(request.get("count").asInt()))).all().get();
                return done;
            case "describe_cluster":
                return describeCluster(admin);
            case "describe_configs":
                return describeConfigs(admin, request);
            case "alter_configs":
                return alterConfigs(admin, request);
            case "list_offsets":
                return listOffsets(admin, request);
            case "delete_records":
                return done.put("low_watermark", admin.deleteRecords(Map.of(partition(request),
                        RecordsToDelete.beforeOffset(request.get("before").asLong()))).lowWatermarks()
                        .get(partition(request)).get().lowWatermark());
            case "describe_log_dirs":
                return describeLogDirs(admin, request);
            case "describe_quorum":
                return describeQuorum(admin);
            case "describe_producers":
                return describeProducers(admin, request);
            case "describe_features":
                return describeFeatures(admin);
            case "list_config_resources":
                admin.listConfigResources().all().get().forEach(one ->
                        done.withArray("/resources").add(one.type().name() + ":" + one.name()));
                return done;
            case "list_reassignments":
                return done.put("count", admin.listPartitionReassignments().reassignments().get().size());
            case "describe_client_quotas":
                return done.put("count", admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get().size());
            default:
                throw new IllegalArgumentException("unknown call");
        }
    }
}
