package mark_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sluice-go/sluice/internal/mark"
)

type decoder struct{}

func (decoder) Mark() mark.Type { return mark.TypeOf[decoder]() }

type embedding struct{ decoder }

type pointer struct{}

func (*pointer) Mark() mark.Type { return mark.TypeOf[*pointer]() }

func TestOnRecognizesSluiceTypes(t *testing.T) {
	t.Parallel()
	assert.True(t, mark.On(decoder{}))
	assert.True(t, mark.On(&pointer{}))
	assert.False(t, mark.On(embedding{}), "a type that embeds one is a user's")
	assert.False(t, mark.On(&decoder{}), "so is a pointer to one that is used as a value")
	assert.False(t, mark.On(struct{ mark.Type }{}))
	assert.False(t, mark.On(nil))
}

func TestTheZeroMarkSaysNothing(t *testing.T) {
	t.Parallel()
	assert.True(t, mark.Ours().Ours())
	assert.False(t, mark.Mark{}.Ours())
}
