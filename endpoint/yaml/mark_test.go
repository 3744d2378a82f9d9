package yaml_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/endpoint/yaml"
	"github.com/sluice-go/sluice/internal/mark"
)

func TestTheEncoderIsOurs(t *testing.T) {
	t.Parallel()
	assert.True(t, mark.On(yaml.Encoder{}))
	assert.False(t, mark.On(struct{ yaml.Encoder }{}), "a type that embeds it is a user's")
}
