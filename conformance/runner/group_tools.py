"""Checks of kafka-consumer-groups and of kafka-console-consumer as a member of a group."""
import re

from .check import Failed, expect, expect_contains
from .kafka_tools import tool_check


def checks(version):
    for name, what, work in (
        ("kafka-console-consumer", "--group, restart", console_group),
        ("kafka-consumer-groups", "--list, --describe with --members, --state, --offsets", describe),
        ("kafka-consumer-groups", "--reset-offsets, --delete-offsets, --delete", change),
    ):
        yield tool_check(name, version, what, work, {})


def produce(tools, topic, first, count):
    text = "".join(f"line {n}\n" for n in range(first, first + count))
    tools.run("kafka-console-producer", "--topic", topic, stdin=text)


def consume_as(tools, topic, group, count):
    """The console consumer commits when it ends after its last message."""
    arguments = ["--topic", topic, "--group", group, "--max-messages", str(count), "--timeout-ms", "30000"]
    done = tools.run("kafka-console-consumer", *arguments, "--consumer-property", "auto.offset.reset=earliest")
    expect_contains(done.stderr, f"Processed a total of {count} messages")
    return done.stdout


def lines(first, count):
    return "".join(f"line {n}\n" for n in range(first, first + count))


def console_group(tools):
    topic = tools.rig.topic("console-group")
    produce(tools, topic, 0, 5)
    for first, count in ((0, 3), (3, 2)):
        printed = consume_as(tools, topic, topic, count)
        expect(printed == lines(first, count), f"consumed from {first}:\n{printed}")


def groups(tools, *arguments, check=True):
    return tools.run("kafka-consumer-groups", *arguments, check=check)


def rows(printed):
    """The table's rows as dictionaries; its columns are aligned by spaces."""
    table = [line for line in printed.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(table) if line.startswith("GROUP ")), None)
    expect(start is not None, f"no table in:\n{printed}")
    # Two words, which would count as two columns.
    heads = table[start].replace("COORDINATOR (ID)", "COORDINATOR").split()
    found = []
    for line in table[start + 1:]:
        cells = re.sub(r" +\((\d+)\)", r"(\1)", line).split()
        expect(len(cells) >= len(heads), f"a row has {len(cells)} of {len(heads)} cells:\n{printed}")
        found.append(dict(zip(heads, cells)))
    return found


def describe(tools):
    """Once while a member is there, which a console consumer is that waits for more than there is."""
    topic = tools.rig.topic("describe-group")
    produce(tools, topic, 0, 4)
    waiting = ["--topic", topic, "--group", topic, "--consumer-property", "auto.offset.reset=earliest"]
    with tools.running("kafka-console-consumer", *waiting) as member:
        for number in range(4):
            line = member.stdout.readline()
            expect(line == f"line {number}\n", f"the member printed {line!r} for line {number}")
        expect(topic in groups(tools, "--list").stdout.splitlines(), "the group is not listed")
        stable = rows(groups(tools, "--list", "--state", "Stable").stdout)
        expect({"GROUP": topic, "STATE": "Stable"}.items() <= row_of(stable, topic).items(), f"listed by state: {stable}")
        state = rows(groups(tools, "--describe", "--group", topic, "--state").stdout)[0]
        host = rf"\S+:\d+\(\d+\)"
        expect(re.fullmatch(host, state["COORDINATOR"]), f"the coordinator is {state['COORDINATOR']}")
        expect((state["ASSIGNMENT-STRATEGY"], state["STATE"], state["#MEMBERS"]) == ("range", "Stable", "1"), f"state: {state}")
        seen = rows(groups(tools, "--describe", "--group", topic, "--members", "--verbose").stdout)[0]
        expect(seen["#PARTITIONS"] == "1" and seen["HOST"].startswith("/"), f"members: {seen}")
        expect(f"{topic}:0" in seen.values() or f"{topic}(0)" in seen.values() or "0" in seen.get("ASSIGNMENT", ""), f"members: {seen}")
        offsets = rows(groups(tools, "--describe", "--group", topic).stdout)[0]
        expect(offsets["LOG-END-OFFSET"] == "4" and offsets["CONSUMER-ID"] == seen["CONSUMER-ID"], f"offsets: {offsets}")
        refused = groups(tools, "--reset-offsets", "--to-earliest", "--execute", "--group", topic, "--topic", topic, check=False)
        expect_contains(refused.stdout + refused.stderr, "Assignments can only be reset if the group", "but the current state is Stable.")
    gone = groups(tools, "--describe", "--group", topic)
    expect_contains(gone.stdout + gone.stderr, f"Consumer group '{topic}' has no active members.")
    left = rows(gone.stdout)[0]
    want = {"GROUP": topic, "TOPIC": topic, "PARTITION": "0", "CURRENT-OFFSET": "4", "LOG-END-OFFSET": "4", "LAG": "0"}
    expect(want.items() <= left.items(), f"offsets without members: {left}")


def row_of(table, group):
    found = [row for row in table if row["GROUP"] == group]
    if len(found) != 1:
        raise Failed(f"the group is listed {len(found)} times")
    return found[0]


def change(tools):
    topic = tools.rig.topic("change-group")
    produce(tools, topic, 0, 6)
    expect(consume_as(tools, topic, topic, 6) == lines(0, 6), "the group did not read the six lines")
    for arguments, offset in (
        (["--to-earliest", "--dry-run"], "0"),
        (["--to-earliest", "--execute"], "0"),
        (["--shift-by", "4", "--execute"], "4"),
    ):
        printed = groups(tools, "--reset-offsets", "--group", topic, "--topic", topic, *arguments).stdout
        row = rows(printed)[0]
        expect({"TOPIC": topic, "PARTITION": "0", "NEW-OFFSET": offset}.items() <= row.items(), f"{arguments} printed:\n{printed}")
        if "--dry-run" in arguments:
            current = rows(groups(tools, "--describe", "--group", topic).stdout)[0]["CURRENT-OFFSET"]
            expect(current == "6", f"after a dry run the offset is {current}")
    expect(consume_as(tools, topic, topic, 2) == lines(4, 2), "reading did not go on at the offset that was set")
    deleted = groups(tools, "--delete-offsets", "--group", topic, "--topic", topic).stdout
    expect_contains(deleted, "Request succeeded for deleting offsets", "Successful")
    expect(consume_as(tools, topic, topic, 6) == lines(0, 6), "reading did not begin anew after the offsets were deleted")
    deleted = groups(tools, "--delete", "--group", topic).stdout
    expect_contains(deleted, f"Deletion of requested consumer groups ('{topic}') was successful.")
    expect(topic not in groups(tools, "--list").stdout.splitlines(), "the deleted group is listed")
    missing = groups(tools, "--describe", "--group", topic, check=False)
    expect_contains(missing.stdout + missing.stderr, f"Group {topic} not found.")
