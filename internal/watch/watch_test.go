package watch_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/sluice-go/sluice/internal/watch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type key struct{}

// notes is a watcher that keeps what it is told.
type notes struct{ all []string }

func (*notes) Leave(any, error)           {}
func (n *notes) Note(what, detail string) { n.all = append(n.all, what+" "+detail) }

func fails(context.Context, any) { panic("nothing fails") }

func TestACallLastsUntilItIsReleasedAsOftenAsItWasOpened(t *testing.T) {
	t.Parallel()
	var f, other watch.Flag
	c := watch.Begin([]*watch.Flag{&f}, fails)
	root := c.Root(t.Context(), new(notes), nil)
	assert.True(t, f.On())
	assert.False(t, other.On())
	kept := watch.Retain(context.WithValue(root, key{}, 1))
	require.Same(t, c, kept)
	root.Close()
	assert.True(t, f.On(), "a goroutine may yet enter a step")
	assert.True(t, root.Open())
	kept.Release()
	assert.True(t, f.On())
	c.Release()
	assert.False(t, f.On())

	assert.False(t, root.Open(), "what has ended does not begin again")
	assert.Nil(t, watch.Retain(root))
	assert.False(t, f.On())
}

func TestAFlagIsOnWhileAnyCallHasPickedIt(t *testing.T) {
	t.Parallel()
	var f watch.Flag
	first := watch.Begin([]*watch.Flag{&f, &f}, fails)
	second := watch.Begin([]*watch.Flag{&f}, fails)
	first.Release()
	assert.True(t, f.On())
	second.Release()
	assert.False(t, f.On())
}

func TestNobodyIsRetained(t *testing.T) {
	t.Parallel()
	assert.Nil(t, watch.Retain(t.Context()))
	var none context.Context // some pass it
	assert.Nil(t, watch.Retain(none))
	assert.Nil(t, watch.Of(none))
	assert.NotPanics(t, func() { (*watch.Call)(nil).Release() })
}

func TestCallsAreOpenedAndReleasedAtOnce(t *testing.T) {
	t.Parallel()
	var f watch.Flag
	c := watch.Begin([]*watch.Flag{&f}, fails)
	root := c.Root(t.Context(), new(notes), nil)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				watch.Retain(root).Release()
			}
		})
	}
	root.Close() // some find it open, and some do not
	all.Wait()
	assert.False(t, f.On())
}

func TestNotesFindTheEntryThatIsTheContext(t *testing.T) {
	t.Parallel()
	var n notes
	root := watch.Begin(nil, fails).Root(t.Context(), &n, nil)
	derived := context.WithValue(root, key{}, 1)
	assert.Same(t, root, watch.Of(derived))
	watch.Note(root, "first", "a")
	watch.Note(derived, "second", "b")
	watch.Note(t.Context(), "third", "c")
	root.Close()
	watch.Note(root, "late", "d")
	assert.Equal(t, []string{"first a"}, n.all)
}

func TestGuardHearsOfPanicsAndOfGoexit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var values []any
		failed := func(_ context.Context, value any) { values = append(values, value) }
		watch.Guard(t.Context(), failed, func() {})
		watch.Guard(t.Context(), failed, func() { panic("bug") })
		go watch.Guard(t.Context(), failed, runtime.Goexit)
		synctest.Wait()
		assert.Equal(t, []any{"bug", nil}, values)
	})
}

func TestAHiddenContextIsNotWatched(t *testing.T) {
	t.Parallel()
	root := watch.Begin(nil, fails).Root(context.WithValue(t.Context(), key{}, 1), new(notes), nil)
	hidden := watch.Hide(root)
	assert.Nil(t, watch.Of(hidden))
	assert.Nil(t, watch.Retain(hidden))
	assert.Equal(t, 1, hidden.Value(key{}), "other values stay")
	assert.Equal(t, t.Context(), watch.Hide(t.Context()))
	root.Close()
}
