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

	// MaxValue is the size of the largest entry that a [Store] keeps, header and all, in bytes. 0 is
	// [DefaultMaxValue], and a negative MaxValue is no limit but that of Redis, 512 MiB. It should be
	// a little more than the MaxObject of the cache. Buckets and Quotas have no need
	// of it.
	MaxValue int
}

func (s Spec) withDefaults() Spec {
	if s.Prefix == "" {
		s.Prefix = DefaultPrefix
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	if s.MaxValue == 0 {
		s.MaxValue = DefaultMaxValue
	}
	return s
}

var (
	errNoClient = errors.New("redis: the Client is nil")
	errIgnores  = errors.New("redis: the client ignores contexts: set ContextTimeoutEnabled")
	errReplicas = errors.New("redis: the client reads from replicas: a purge would not hold")
)

// fault returns what is wrong with the spec, or nil.
func (s Spec) fault() error {
	if v := reflect.ValueOf(s.Client); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return errNoClient
	}
	o, err := optionsOf(s.Client)
	if err == nil && !o.honoursContext {
		err = errIgnores
	}
	return err
}

// storeFault is fault for a Store.
func (s Spec) storeFault() error {
	if err := s.fault(); err != nil {
		return err
	}
	if o, _ := optionsOf(s.Client); o.readsReplicas {
		return errReplicas
	}
	return nil
}

// options are what the package needs to know of a client.
type options struct{ honoursContext, readsReplicas bool }

// optionsOf returns the options of a client of go-redis. Of any other client there is no way to know
// them. Options may be a method of a user.
func optionsOf(client goredis.UniversalClient) (o options, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("redis: Options of the Client: panic: %v", v)
		}
	}()
	switch c := client.(type) {
	case interface{ Options() *goredis.Options }:
		return options{honoursContext: c.Options().ContextTimeoutEnabled}, nil
	case interface {
		Options() *goredis.ClusterOptions
	}:
		o := c.Options()
		return options{o.ContextTimeoutEnabled, o.ReadOnly}, nil // routing among replicas implies ReadOnly
	case interface{ Options() *goredis.RingOptions }:
		return options{honoursContext: c.Options().ContextTimeoutEnabled}, nil
	}
	return options{honoursContext: true}, nil
}
