import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.ConsumerGroupListing;
import org.apache.kafka.clients.admin.ListConsumerGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ConsumerGroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** The admin client's view of groups, with the refusals a user meets. */
class GroupAdminChecks {
    private static final String RANGE = "org.apache.kafka.clients.consumer.RangeAssignor";
    private static final String NAME = "the member";

    private final Check check;
    private final GroupChecks groups;

    GroupAdminChecks(Check check) {
        this.check = check;
        this.groups = new GroupChecks(check);
    }

    private Member joined(Holdings holdings, int partitions) throws Exception {
        Member member = new Member(check, NAME, holdings, RANGE, ConsumerConfig.CLIENT_ID_CONFIG, "described", ConsumerConfig.GROUP_INSTANCE_ID_CONFIG, "instance");
        holdings.await("the assignment", () -> holdings.count(NAME) == partitions);
        return member;
    }

    void groups() throws Exception {
        check.createTopic(2);
        try (Admin admin = check.admin()) {
            // A static member closes without leaving, so this one's group is emptied through the admin client.
            try (Member member = joined(new Holdings(), 2)) {
                expectStable(admin);
                AdminChecks.refused(GroupNotEmptyException.class, admin.deleteConsumerGroups(List.of(check.topic)).all());
            }
            admin.removeMembersFromConsumerGroup(check.topic, new RemoveMembersFromConsumerGroupOptions()).all().get();
            expectListed(admin, ConsumerGroupState.EMPTY, ConsumerGroupState.STABLE);
            ConsumerGroupDescription empty = describe(admin);
            Check.expectEqual(ConsumerGroupState.EMPTY, empty.state(), "state without members");
            Check.expectEqual(0, empty.members().size(), "members of the empty group");
            admin.deleteConsumerGroups(List.of(check.topic)).all().get();
            Check.expect(listed(admin.listConsumerGroups().all().get()) == null, "the deleted group is listed");
            AdminChecks.refused(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(check.topic)).all());
        }
    }

    private void expectStable(Admin admin) throws Exception {
        expectListed(admin, ConsumerGroupState.STABLE, ConsumerGroupState.EMPTY);
        ConsumerGroupDescription described = describe(admin);
        Check.expectEqual(ConsumerGroupState.STABLE, described.state(), "state");
        Check.expectEqual("range", described.partitionAssignor(), "assignor");
        Check.expect(!described.isSimpleConsumerGroup(), "a group with members is called simple");
        Check.expect(described.coordinator().port() > 0, "the coordinator is " + described.coordinator());
        Check.expectEqual(1, described.members().size(), "number of members");
        MemberDescription member = described.members().iterator().next();
        Check.expectEqual("described", member.clientId(), "client id");
        Check.expectEqual("instance", member.groupInstanceId().orElse(""), "instance id");
        Check.expect(member.consumerId().startsWith("instance-"), "the member's id is " + member.consumerId());
        Check.expect(member.host().startsWith("/"), "the member's host is " + member.host());
        Check.expectEqual(groups.partitions(0, 1), member.assignment().topicPartitions(), "assignment");
    }

    /** Until the group has no member any more, at the latest when the session of the last one is over. */
    static void awaitEmpty(Check check, String group) throws Exception {
        long deadline = System.currentTimeMillis() + 3 * Check.PATIENCE_MS;
        try (Admin admin = check.admin()) {
            while (!admin.describeConsumerGroups(List.of(group)).all().get().get(group).members().isEmpty()) {
                Check.expect(System.currentTimeMillis() < deadline, "the members of " + group + " did not leave");
                Thread.sleep(200);
            }
        }
    }

    private ConsumerGroupDescription describe(Admin admin) throws Exception {
        return admin.describeConsumerGroups(List.of(check.topic)).all().get().get(check.topic);
    }

    private ConsumerGroupListing listed(Collection<ConsumerGroupListing> groups) {
        Predicate<ConsumerGroupListing> same = group -> group.groupId().equals(check.topic);
        return groups.stream().filter(same).findFirst().orElse(null);
    }

    private void expectListed(Admin admin, ConsumerGroupState state, ConsumerGroupState other) throws Exception {
        ConsumerGroupListing all = listed(admin.listConsumerGroups().all().get());
        Check.expect(all != null, "the group is not listed");
        Check.expectEqual(state, all.state().orElse(ConsumerGroupState.UNKNOWN), "listed state");
        Check.expect(!all.isSimpleConsumerGroup(), "the group is listed as simple");
        Check.expect(listed(listing(admin, state)) != null, "the group is not among the " + state);
        Check.expect(listed(listing(admin, other)) == null, "the group is among the " + other);
    }

    private static Collection<ConsumerGroupListing> listing(Admin admin, ConsumerGroupState state) throws Exception {
        return admin.listConsumerGroups(new ListConsumerGroupsOptions().inStates(Set.of(state))).all().get();
    }

    void offsets() throws Exception {
        check.createTopic(2);
        groups.fill(2, 0, 10);
        TopicPartition first = new TopicPartition(check.topic, 0);
        TopicPartition second = new TopicPartition(check.topic, 1);
        try (Admin admin = check.admin()) {
            // Offsets set from outside make a group that has no members and no protocol.
            admin.alterConsumerGroupOffsets(check.topic, Map.of(first, new OffsetAndMetadata(3, "by hand"), second, new OffsetAndMetadata(4))).all().get();
            expectOffsets(admin, Map.of(first, new OffsetAndMetadata(3, "by hand"), second, new OffsetAndMetadata(4)));
            Check.expect(listed(admin.listConsumerGroups().all().get()).isSimpleConsumerGroup(), "a group of offsets alone is not called simple");
            admin.alterConsumerGroupOffsets(check.topic, Map.of(first, new OffsetAndMetadata(1))).all().get();
            admin.deleteConsumerGroupOffsets(check.topic, Set.of(second)).all().get();
            expectOffsets(admin, Map.of(first, new OffsetAndMetadata(1)));
            Holdings holdings = new Holdings();
            try (Member member = joined(holdings, 2)) {
                holdings.await("reading from there", () -> holdings.read(0) == 9 && holdings.read(1) == 10);
                AdminChecks.refused(UnknownMemberIdException.class, admin.alterConsumerGroupOffsets(check.topic, Map.of(first, new OffsetAndMetadata(0))).all());
                AdminChecks.refused(GroupSubscribedToTopicException.class, admin.deleteConsumerGroupOffsets(check.topic, Set.of(first)).all());
            }
            expectOffsets(admin, Map.of(first, new OffsetAndMetadata(10), second, new OffsetAndMetadata(10)));
        }
    }

    private void expectOffsets(Admin admin, Map<TopicPartition, OffsetAndMetadata> want) throws Exception {
        Map<TopicPartition, OffsetAndMetadata> committed =
                admin.listConsumerGroupOffsets(check.topic).partitionsToOffsetAndMetadata().get(Check.PATIENCE_MS, TimeUnit.MILLISECONDS);
        Check.expectEqual(want.keySet(), committed.keySet(), "partitions with offsets");
        want.forEach((partition, offset) -> {
            Check.expectEqual(offset.offset(), committed.get(partition).offset(), "offset of " + partition);
            Check.expectEqual(offset.metadata(), committed.get(partition).metadata(), "metadata of " + partition);
        });
    }
}
