//go:build !race

package document_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/proxy/document"
)

// The race detector makes a sync.Pool forget at random.
func TestAWorkAllocatesNoMoreThanTheOperation(t *testing.T) {
	d := document.MustParse(`{"a":{"b":1},"c":[{"d":2},{"e":3}]}`)
	paths, all := document.MustPaths("c.*.d", "a"), document.MustPath("*.b")
	w := document.Work{Context: t.Context()}
	text := []byte(`{"a":1}`)
	for name, op := range map[string]struct{ within, without func() }{
		"Parse": {func() { _, _ = w.Parse(text) }, func() { _, _ = document.Parse(text) }},
		"Keep":  {func() { _, _ = w.Keep(d, paths) }, func() { d.Keep(paths) }},
		"Get":   {func() { _, _ = w.Get(d, all) }, func() { d.Get(all) }},
		"Merge": {func() { _, _ = w.Merge(0, d, d) }, func() { _, _ = document.Merge(0, d, d) }},
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, op.within), testing.AllocsPerRun(100, op.without), name)
	}
}
