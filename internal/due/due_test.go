package due_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/due"
)

func TestAQueueGivesWhatHasEndedInOrder(t *testing.T) {
	t.Parallel()
	began := time.Unix(1000, 0)
	at := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
	var q due.Queue[string]
	assert.Nil(t, q.Next(began))
	q.Add("never", time.Time{})
	late, removed := q.Add("late", at(9)), q.Add("removed", at(1))
	q.Add("second", at(2))
	q.Add("first", at(1))
	moved := q.Add("moved", at(1))
	q.Move(moved, at(4))
	q.Remove(removed)
	q.Move(late, time.Time{})
	assert.True(t, late.Until().IsZero())
	assert.False(t, late.Over(at(1<<20)))

	var got []string
	for s := range 10 {
		for item := q.Next(at(s)); item != nil; item = q.Next(at(s)) {
			assert.Equal(t, at(s), item.Until(), "not before, not after")
			got = append(got, item.Value)
		}
	}
	assert.Equal(t, []string{"first", "second", "moved"}, got)
}
