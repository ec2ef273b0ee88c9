package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

const each = 10

func groupValue(partition int, offset int64) string {
	return fmt.Sprintf("partition %d message %d", partition, offset)
}

// Making a topic with several partitions is left to a client of the newest protocol.
func createTopic(r run, partitions int) error {
	client := &kafka.Client{Addr: kafka.TCP(r.brokers()...), Timeout: patience, Transport: &kafka.Transport{}}
	topic := kafka.TopicConfig{Topic: r.topic, NumPartitions: partitions, ReplicationFactor: replicas()}
	answer, err := client.CreateTopics(r.context, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{topic}})
	if err == nil {
		err = answer.Errors[r.topic]
	}
	if err != nil {
		return fmt.Errorf("create topic: %w", err)
	}
	return nil
}

// Ten more messages for every partition, each sent to it by hand, so that their offsets are known.
func fillPartitions(r run, partitions int, first int64) error {
	for partition := 0; partition < partitions; partition++ {
		if err := produceTo(r, partition, first); err != nil {
			return err
		}
	}
	return nil
}

// A topic made a moment ago may not have its leader yet, or one that does not know it.
func produceTo(r run, partition int, first int64) error {
	var batch []kafka.Message
	for offset := first; offset < first+each; offset++ {
		batch = append(batch, kafka.Message{Value: []byte(groupValue(partition, offset))})
	}
	for {
		err := writeToLeader(r, partition, batch)
		var refusal kafka.Error
		retriable := errors.As(err, &refusal) && (refusal.Temporary() || refusal == kafka.UnknownTopicOrPartition)
		if !retriable || r.context.Err() != nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func writeToLeader(r run, partition int, batch []kafka.Message) error {
	leader, err := r.dialLeaderOf(partition)
	if err != nil {
		return fmt.Errorf("dial leader of partition %d: %w", partition, err)
	}
	defer leader.Close()
	leader.SetDeadline(time.Now().Add(patience))
	if _, err := leader.WriteMessages(batch...); err != nil {
		return fmt.Errorf("write to partition %d: %w", partition, err)
	}
	return nil
}

// The tutorial's reader; errors it would only log reach the check.
func (r run) groupReader(interval time.Duration) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers:           r.brokers(),
		GroupID:           r.topic,
		Topic:             r.topic,
		MinBytes:          1,
		MaxBytes:          10e6,
		MaxWait:           200 * time.Millisecond,
		CommitInterval:    interval,
		HeartbeatInterval: 500 * time.Millisecond,
		StartOffset:       kafka.FirstOffset,
	})
}

func expectOffsets(read map[int][]int64, partitions int, first, end int64) error {
	for partition := 0; partition < partitions; partition++ {
		offsets := read[partition]
		holds := int64(len(offsets)) == end-first
		for n := 0; holds && n < len(offsets); n++ {
			holds = offsets[n] == first+int64(n)
		}
		if !holds {
			return fmt.Errorf("partition %d gave offsets %v, want %d to %d", partition, offsets, first, end-1)
		}
	}
	return nil
}

func note(read map[int][]int64, got kafka.Message) error {
	if want := groupValue(got.Partition, got.Offset); string(got.Value) != want {
		return fmt.Errorf("partition %d offset %d reads %q", got.Partition, got.Offset, got.Value)
	}
	read[got.Partition] = append(read[got.Partition], got.Offset)
	return nil
}

func checkGroupReader(r run) error {
	return restarted(r, 0)
}

func checkCommitInterval(r run) error {
	return restarted(r, time.Second)
}

// ReadMessage commits by itself, at once or in intervals: a second start goes on where the first closed.
func restarted(r run, interval time.Duration) error {
	const partitions = 3
	if err := createTopic(r, partitions); err != nil {
		return err
	}
	for start := int64(0); start < 2; start++ {
		if err := fillPartitions(r, partitions, start*each); err != nil {
			return err
		}
		reader := r.groupReader(interval)
		read := map[int][]int64{}
		for n := 0; n < partitions*each; n++ {
			got, err := reader.ReadMessage(r.context)
			if err != nil {
				return fmt.Errorf("start %d: read message %d: %w", start+1, n, err)
			}
			if err := note(read, got); err != nil {
				return err
			}
		}
		if err := reader.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if err := expectOffsets(read, partitions, start*each, (start+1)*each); err != nil {
			return fmt.Errorf("start %d: %w", start+1, err)
		}
	}
	return nil
}

// All are fetched and all but the last three committed: those come again.
func checkFetchAndCommit(r run) error {
	if err := createTopic(r, 1); err != nil {
		return err
	}
	if err := fillPartitions(r, 1, 0); err != nil {
		return err
	}
	for _, first := range []int64{0, each - 3} {
		reader := r.groupReader(0)
		read := map[int][]int64{}
		for n := first; n < each; n++ {
			got, err := reader.FetchMessage(r.context)
			if err != nil {
				return fmt.Errorf("fetch message %d: %w", n, err)
			}
			if err := note(read, got); err != nil {
				return err
			}
			if got.Offset < each-3 {
				if err := reader.CommitMessages(r.context, got); err != nil {
					return fmt.Errorf("commit message %d: %w", n, err)
				}
			}
		}
		if err := reader.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if err := expectOffsets(read, 1, first, each); err != nil {
			return err
		}
	}
	return nil
}

// What one reader of a group has read, kept by a goroutine of its own until the reader is closed.
type groupMember struct {
	reader *kafka.Reader
	lock   sync.Mutex
	read   map[int][]int64
	ended  chan error
}

func (r run) join() *groupMember {
	m := &groupMember{reader: r.groupReader(0), read: map[int][]int64{}, ended: make(chan error, 1)}
	go func() { m.ended <- m.consume(r.context) }()
	return m
}

// A closed reader ends the loop with io.EOF, as the tutorial has it.
func (m *groupMember) consume(ctx context.Context) error {
	for {
		got, err := m.reader.ReadMessage(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read message: %w", err)
		}
		m.lock.Lock()
		err = note(m.read, got)
		m.lock.Unlock()
		if err != nil {
			return err
		}
	}
}

func (m *groupMember) leave() error {
	if err := m.reader.Close(); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return <-m.ended
}

// The partitions whose message at `offset` this member has read.
func (m *groupMember) reached(offset int64) map[int]bool {
	m.lock.Lock()
	defer m.lock.Unlock()
	partitions := map[int]bool{}
	for partition, offsets := range m.read {
		if len(offsets) > 0 && offsets[len(offsets)-1] >= offset {
			partitions[partition] = true
		}
	}
	return partitions
}

// Two readers split four partitions, of each of which one of them reads every message once; when one
// closes, the other reads on where that one committed.
func checkTwoReaders(r run) error {
	const partitions = 4
	if err := createTopic(r, partitions); err != nil {
		return err
	}
	first, second := r.join(), r.join()
	await := func(what string, offset int64, holds func(one, other map[int]bool) bool) error {
		for {
			one, other := first.reached(offset), second.reached(offset)
			if holds(one, other) {
				return nil
			}
			if r.context.Err() != nil {
				return fmt.Errorf("%s did not come about: one reached offset %d of %v, the other of %v", what, offset, one, other)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if err := awaitMembers(r, 2); err != nil {
		return err
	}
	if err := fillPartitions(r, partitions, 0); err != nil {
		return err
	}
	split := func(one, other map[int]bool) bool { return len(one) == 2 && len(other) == 2 }
	if err := await("two partitions for each", each-1, split); err != nil {
		return err
	}
	if err := first.leave(); err != nil {
		return err
	}
	// What a reader takes while the group rebalances it may take again, for its commit is refused.
	if err := awaitMembers(r, 1); err != nil {
		return err
	}
	if err := fillPartitions(r, partitions, each); err != nil {
		return err
	}
	if err := await("taking over", 2*each-1, func(_, other map[int]bool) bool { return len(other) == partitions }); err != nil {
		return err
	}
	if err := second.leave(); err != nil {
		return err
	}
	together := map[int][]int64{}
	for _, read := range []map[int][]int64{first.read, second.read} {
		for partition, offsets := range read {
			together[partition] = append(together[partition], offsets...)
		}
	}
	return expectOffsets(sorted(together), partitions, 0, 2*each)
}
