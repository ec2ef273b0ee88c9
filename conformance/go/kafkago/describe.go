package main

import (
	"fmt"
	"sort"
	"time"

	"github.com/segmentio/kafka-go"
)

// Waits until the group is stable with so many members, each with the same share, by DescribeGroups.
func awaitMembers(r run, want int) error {
	client := &kafka.Client{Addr: kafka.TCP(r.brokers()...), Timeout: patience, Transport: &kafka.Transport{}}
	for {
		state, members := "unknown", 0
		answer, err := client.DescribeGroups(r.context, &kafka.DescribeGroupsRequest{GroupIDs: []string{r.topic}})
		if err == nil && len(answer.Groups) == 1 && answer.Groups[0].Error == nil {
			state, members = answer.Groups[0].GroupState, len(answer.Groups[0].Members)
		}
		if state == "Stable" && members == want {
			return nil
		}
		if r.context.Err() != nil {
			return fmt.Errorf("the group stayed %s with %d members (%v)", state, members, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func sorted(read map[int][]int64) map[int][]int64 {
	for _, offsets := range read {
		sort.Slice(offsets, func(i, j int) bool { return offsets[i] < offsets[j] })
	}
	return read
}
