package redis

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// DefaultPrefix is how keys begin by default.
const DefaultPrefix = "sluice:"

// DefaultTimeout is how long a call of Redis takes at most by default.
const DefaultTimeout = 50 * time.Millisecond

// A Spec says how to reach Redis.
type Spec struct {
	// Client is a *redis.Client, *redis.ClusterClient or *redis.Ring of go-redis with
	// ContextTimeoutEnabled, or anything else that does as its context says. It belongs to the
	// caller. nil, or a client of go-redis that ignores contexts, is a fault.
	Client goredis.UniversalClient

	// Prefix is how all keys begin. Programs that use the same one share their state. "" is
	// [DefaultPrefix].
	Prefix string

	// Timeout is how long a call takes at most. 0 is [DefaultTimeout], and a negative Timeout leaves
	// it to the context of the call.
	Timeout time.Duration
}

func (s Spec) withDefaults() Spec {
	if s.Prefix == "" {
		s.Prefix = DefaultPrefix
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	return s
}

var (
	errNoClient = errors.New("redis: the Client is nil")
	errIgnores  = errors.New("redis: the client ignores contexts: set ContextTimeoutEnabled")
)

// fault returns what is wrong with the spec, or nil.
func (s Spec) fault() error {
	if v := reflect.ValueOf(s.Client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errNoClient
	}
	honours, err := honoursContext(s.Client)
	switch {
	case err != nil:
		return err
	case !honours:
		return errIgnores
	}
	return nil
}

// honoursContext reports whether a client of go-redis was told to, and true for any other client:
// there is no way to know. Options may be a method of a user.
func honoursContext(client goredis.UniversalClient) (honours bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("redis: Options of the Client: panic: %v", v)
		}
	}()
	switch c := client.(type) {
	case interface{ Options() *goredis.Options }:
		return c.Options().ContextTimeoutEnabled, nil
	case interface {
		Options() *goredis.ClusterOptions
	}:
		return c.Options().ContextTimeoutEnabled, nil
	case interface{ Options() *goredis.RingOptions }:
		return c.Options().ContextTimeoutEnabled, nil
	}
	return true, nil
}
