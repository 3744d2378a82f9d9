package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A Server is the Redis of a [Spec], for other packages that keep state in Redis, such as endpoint/redis.
// Each [Ask] keeps to the Timeout of the Spec, and Redis is not asked while it is in trouble, as the
// package comment says. It is safe for concurrent use. Each Server counts its failures for itself.
type Server struct{ server *server }

// NewServer returns the Redis of s. What is wrong with s is a fault, and so is a client that reads from
// replicas, which are always behind; see [Server.Fault].
func NewServer(s Spec) *Server {
	fault := s.storeFault()
	if errors.Is(fault, errReplicas) {
		fault = errBehind
	}
	return &Server{newServer(s, fault)}
}

var errBehind = errors.New("redis: the client reads from replicas, which are behind")

// Fault returns what is wrong with the spec, or nil. Every [Ask] fails with it.
func (s *Server) Fault() error { return s.server.fault }

// Prefix returns the beginning of all keys.
func (s *Server) Prefix() string { return s.server.Prefix }

// Waits returns the longest time that an [Ask] takes; a negative time is no limit.
func (s *Server) Waits() time.Duration { return s.server.Timeout }

// Ask calls call with the client. It returns when ctx ends or the Timeout is over, even if call does not;
// the late result of call is then dropped. The error is that of ctx if ctx has ended, wraps [ErrPaused] if
// Redis was not asked, and has a text of one short line.
func Ask[T any](ctx context.Context, s *Server, call func(ctx context.Context, client goredis.UniversalClient) (T, error)) (T, error) {
	return ask(ctx, s.server, func(ctx context.Context) (T, error) { return call(ctx, s.server.Client) })
}
