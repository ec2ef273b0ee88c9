package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

// One member of a group, as the tutorials write it: Consume in a loop until the context ends, with
// the errors channel drained. What it holds and what it read is kept in `seen`.
type member struct {
	name  string
	group sarama.ConsumerGroup
	seen  *sightings
	every int
	end   context.CancelFunc
	ended sync.WaitGroup
}

// What the members of one group held and read, checked as it happens.
type sightings struct {
	lock     sync.Mutex
	holders  map[int32]string
	read     map[int32][]int64
	problems []error
}

func newSightings() *sightings {
	return &sightings{holders: map[int32]string{}, read: map[int32][]int64{}}
}

func (s *sightings) fail(err error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.problems = append(s.problems, err)
}

// Two sessions of one group must never claim one partition at once.
func (s *sightings) claim(partition int32, name string) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if holder, held := s.holders[partition]; held {
		s.problems = append(s.problems, fmt.Errorf("partition %d was given to %s while %s held it", partition, name, holder))
	}
	s.holders[partition] = name
}

func (s *sightings) release(partition int32) {
	s.lock.Lock()
	defer s.lock.Unlock()
	delete(s.holders, partition)
}

func (s *sightings) note(got *sarama.ConsumerMessage) int {
	s.lock.Lock()
	defer s.lock.Unlock()
	want := fmt.Sprintf("partition %d message %d", got.Partition, got.Offset)
	if string(got.Value) != want {
		s.problems = append(s.problems, fmt.Errorf("partition %d offset %d reads %q", got.Partition, got.Offset, got.Value))
	}
	s.read[got.Partition] = append(s.read[got.Partition], got.Offset)
	return len(s.read[got.Partition])
}

func (s *sightings) held() map[string]int {
	counts := map[string]int{}
	for _, name := range s.holders {
		counts[name]++
	}
	return counts
}

// Waits until `holds` is true of what was seen; a problem of any member ends the wait.
func (s *sightings) await(what string, holds func() bool) error {
	deadline := time.Now().Add(patience)
	for {
		s.lock.Lock()
		done, problems := holds(), s.problems
		state := fmt.Sprintf("held: %v, read: %v", s.holders, s.read)
		s.lock.Unlock()
		if len(problems) > 0 {
			return problems[0]
		}
		if done {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not come about in time; %s", what, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// `every` is after how many messages of a claim the session commits by hand; 0 leaves it to sarama.
func (r run) join(group, name string, seen *sightings, every int) (*member, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = every == 0
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	joined, err := sarama.NewConsumerGroup(r.brokers, group, config)
	if err != nil {
		return nil, fmt.Errorf("consumer group: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{name: name, group: joined, seen: seen, every: every, end: cancel}
	m.ended.Add(2)
	go func() {
		defer m.ended.Done()
		for err := range joined.Errors() {
			seen.fail(fmt.Errorf("%s reports: %w", name, err))
		}
	}()
	go func() {
		defer m.ended.Done()
		for ctx.Err() == nil {
			if err := joined.Consume(ctx, []string{r.topic}, m); err != nil {
				seen.fail(fmt.Errorf("%s: consume: %w", name, err))
				return
			}
		}
	}()
	return m, nil
}

// Leaves the group and waits for its goroutines, so that what was marked has been committed.
func (m *member) leave() error {
	m.end()
	if err := m.group.Close(); err != nil {
		return fmt.Errorf("close %s: %w", m.name, err)
	}
	m.ended.Wait()
	return nil
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	for _, partitions := range session.Claims() {
		for _, partition := range partitions {
			m.seen.claim(partition, m.name)
		}
	}
	return nil
}

func (m *member) Cleanup(session sarama.ConsumerGroupSession) error {
	for _, partitions := range session.Claims() {
		for _, partition := range partitions {
			m.seen.release(partition)
		}
	}
	return nil
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		session.MarkMessage(message, "")
		if count := m.seen.note(message); m.every > 0 && count%m.every == 0 {
			session.Commit()
		}
	}
	return nil
}

// Reads `count` more messages as the group's only member and returns their offsets by partition.
func (r run) readAsGroup(group string, every, count int) (map[int32][]int64, error) {
	seen := newSightings()
	only, err := r.join(group, "the only member", seen, every)
	if err != nil {
		return nil, err
	}
	err = seen.await(fmt.Sprintf("reading %d messages", count), func() bool {
		total := 0
		for _, offsets := range seen.read {
			total += len(offsets)
		}
		return total >= count
	})
	if left := only.leave(); err == nil {
		err = left
	}
	if err == nil && len(seen.problems) > 0 {
		err = seen.problems[0]
	}
	return seen.read, err
}

func expectRange(read map[int32][]int64, partition int32, first, end int64) error {
	offsets := read[partition]
	if int64(len(offsets)) != end-first {
		return fmt.Errorf("partition %d gave offsets %v, want %d to %d", partition, offsets, first, end-1)
	}
	for n, offset := range offsets {
		if offset != first+int64(n) {
			return fmt.Errorf("partition %d gave offsets %v, want %d to %d", partition, offsets, first, end-1)
		}
	}
	return nil
}

// Automatic commits: a second start goes on exactly where the first one closed.
func checkGroup(r run) error {
	const partitions, each = 3, 20
	if err := r.createTopic(partitions); err != nil {
		return err
	}
	for start := int64(0); start < 2; start++ {
		if err := fillPartitionsFrom(r, partitions, int(start)*each, each); err != nil {
			return err
		}
		read, err := r.readAsGroup(r.topic, 0, partitions*each)
		if err != nil {
			return fmt.Errorf("start %d: %w", start+1, err)
		}
		for partition := int32(0); partition < partitions; partition++ {
			if err := expectRange(read, partition, start*each, (start+1)*each); err != nil {
				return fmt.Errorf("start %d: %w", start+1, err)
			}
		}
	}
	return nil
}

// Ten messages with a commit after every third: the tenth is read again by the next start.
func checkManualCommit(r run) error {
	if err := r.createTopic(1); err != nil {
		return err
	}
	if err := fillPartitions(r, 1, 10); err != nil {
		return err
	}
	for _, first := range []int64{0, 9} {
		read, err := r.readAsGroup(r.topic, 3, int(10-first))
		if err != nil {
			return fmt.Errorf("start at %d: %w", first, err)
		}
		if err := expectRange(read, 0, first, 10); err != nil {
			return err
		}
	}
	return nil
}

// A second member takes its share, nobody reads a message twice, and who stays takes all.
func checkTwoMembers(r run) error {
	const partitions, each = 4, 10
	if err := r.createTopic(partitions); err != nil {
		return err
	}
	if err := fillPartitions(r, partitions, each); err != nil {
		return err
	}
	seen := newSightings()
	first, err := r.join(r.topic, "the first", seen, 0)
	if err != nil {
		return err
	}
	if err := seen.await("the first alone", func() bool { return seen.held()["the first"] == partitions && seen.all(partitions, each) }); err != nil {
		return err
	}
	second, err := r.join(r.topic, "the second", seen, 0)
	if err != nil {
		return err
	}
	even := func() bool { return seen.held()["the first"] == 2 && seen.held()["the second"] == 2 }
	if err := seen.await("two partitions for each", even); err != nil {
		return err
	}
	if err := fillPartitionsFrom(r, partitions, each, each); err != nil {
		return err
	}
	if err := seen.await("reading by both", func() bool { return seen.all(partitions, 2*each) }); err != nil {
		return err
	}
	if err := first.leave(); err != nil {
		return err
	}
	if err := seen.await("taking over", func() bool { return seen.held()["the second"] == partitions }); err != nil {
		return err
	}
	if err := fillPartitionsFrom(r, partitions, 2*each, each); err != nil {
		return err
	}
	if err := seen.await("reading by the second", func() bool { return seen.all(partitions, 3*each) }); err != nil {
		return err
	}
	if err := second.leave(); err != nil {
		return err
	}
	for partition := int32(0); partition < partitions; partition++ {
		if err := expectRange(seen.read, partition, 0, 3*each); err != nil {
			return err
		}
	}
	return nil
}

func (s *sightings) all(partitions, each int) bool {
	for partition := 0; partition < partitions; partition++ {
		if len(s.read[int32(partition)]) < each {
			return false
		}
	}
	return true
}
