package yaml_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/backend"
	"github.com/sluice-go/sluice/backend/yaml"
	"github.com/sluice-go/sluice/pipe"
)

// A users is a decoder of a user, who may have overridden any method of the decoder inside.
type users struct{ yaml.Decoder }

func TestADecoderNeedsNoGoroutine(t *testing.T) {
	t.Parallel()
	honours := func(d backend.Decoder) bool {
		p := pipe.Check(backend.New(backend.Spec{URL: "http://h/", Decode: d}))
		assert.NoError(t, pipe.PlanOf(p).Faults())
		return pipe.PlanOf(p).Effects.Has(pipe.HonoursContext)
	}
	assert.True(t, honours(yaml.Decoder{}))
	assert.True(t, honours(backend.Auto(map[string]backend.Decoder{"+x": yaml.Decoder{}})))
	assert.False(t, honours(users{}), "the code of a user may block")
	assert.False(t, honours(backend.Auto(map[string]backend.Decoder{"+x": users{}})))
}
