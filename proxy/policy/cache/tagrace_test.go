package cache_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sluice-go/sluice/proxy/policy/cache"
)

// An interrupted store lets another process purge just before the mark of a tag is set.
type interrupted struct {
	*store
	purge func()
}

func (s *interrupted) Set(ctx context.Context, key string, e *cache.Entry, ttl time.Duration) error {
	if purge := s.purge; key[0] == 'g' && purge != nil {
		s.purge = nil
		purge()
	}
	return s.store.Set(ctx, key, e, ttl)
}

// The first answer with a tag makes its mark, perhaps in place of that of the purge.
//
// proves T24
func TestAPurgeOfATagHoldsAgainstItsFirstAnswer(t *testing.T) {
	t.Parallel()
	s := &interrupted{store: newStore()}
	spec := cache.Spec{Store: s, Tags: "Cache-Tag"}
	s.purge = func() { require.NoError(t, cache.New(spec).PurgeTag(t.Context(), "news")) }
	u := says("Cache-Control: max-age=60", "Cache-Tag: news")
	p := u.leaf().With(cache.New(spec).Decorate)
	ask(t, p, get("/"))
	require.Nil(t, s.purge)
	assert.False(t, ask(t, p, get("/")).hit(), "its call began before the purge")
	assert.True(t, ask(t, p, get("/")).hit())
}
