package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

var errAbsent = errors.New("no such object")

const (
	attempts    = 3
	longestWait = time.Second // between two attempts
	dialTimeout = 5 * time.Second
	// Firewalls forget quiet connections without a word, and a RUN instruction may take long.
	idleTimeout = 20 * time.Second
)

// Store is the bucket. Every request is bounded by the budget and counted in the story; each failure but an absent
// object is blamed there, and ends the kind of request that failed for the rest of the pod's life.
type Store struct {
	client  *s3.Client
	bucket  string
	budget  *Budget
	story   *Story
	log     *Log
	noReads flag
	noWrite flag
}

func newStore(ctx context.Context, settings Settings, budget *Budget, story *Story, log *Log) (*Store, error) {
	transport, err := newTransport(settings.CA)
	if err != nil {
		return nil, err
	}
	// It would want to change our transport, and fails because it cannot.
	os.Unsetenv("AWS_CA_BUNDLE")
	client := &http.Client{Transport: counted{transport, story}}
	loaded, err := config.LoadDefaultConfig(ctx,
		config.WithRegion(settings.Region),
		config.WithHTTPClient(client),
		// The node's own role is nobody's but the node's.
		config.WithEC2IMDSClientEnableState(imds.ClientDisabled),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = attempts, longestWait })
		}),
		// Other servers than AWS know no newer checksums. Every body of ours is bound by its SHA-256 anyway.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	)
	if err != nil {
		return nil, err
	}
	made := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = settings.PathStyle
		if settings.Endpoint != "" {
			o.BaseEndpoint = aws.String(settings.Endpoint)
		}
	})
	return &Store{client: made, bucket: settings.Bucket, budget: budget, story: story, log: log}, nil
}

func newTransport(ca string) (*http.Transport, error) {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if ca != "" && !roots.AppendCertsFromPEM([]byte(ca)) {
		return nil, errors.New("ca holds no certificate")
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     idleTimeout,
		DisableCompression:  true,
	}, nil
}

type counted struct {
	next  http.RoundTripper
	story *Story
}

func (c counted) RoundTrip(request *http.Request) (*http.Response, error) {
	c.story.requests.Add(1)
	return c.next.RoundTrip(request)
}

// Get opens an object. The body has to be closed.
func (s *Store) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if s.noReads.up() {
		return nil, errOff
	}
	ctx, call, err := s.budget.Begin(ctx)
	if err != nil {
		return nil, s.failed(&s.noReads, "read", key, err)
	}
	answer, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.bucket, Key: &key})
	if err != nil {
		defer call.End()
		if s.onlyAbsent(ctx, key, err) {
			return nil, errAbsent
		}
		return nil, s.failed(&s.noReads, "read", key, err)
	}
	return &body{answer.Body, call, s, key}, nil
}

// Has tells whether there is an object.
func (s *Store) Has(ctx context.Context, key string) (bool, error) {
	if s.noWrite.up() {
		return false, errOff
	}
	ctx, call, err := s.budget.Begin(ctx)
	if err != nil {
		return false, s.failed(&s.noWrite, "look for", key, err)
	}
	defer call.End()
	_, err = s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &s.bucket, Key: &key})
	if err == nil {
		return true, nil
	}
	if s.onlyAbsent(ctx, key, err) {
		return false, nil
	}
	if err = s.failed(&s.noWrite, "look for", key, err); errors.Is(err, errAbsent) {
		err = nil
	}
	return false, err
}

// onlyAbsent: where keys may list their own prefix alone, S3 answers 403 for an object that is not there, since the
// condition on the prefix cannot be met by a request that has none. A listing of that very name tells.
func (s *Store) onlyAbsent(ctx context.Context, key string, err error) bool {
	if reasonOf(err) != reasonForbidden {
		return false
	}
	one := int32(1)
	found, err := s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &key, MaxKeys: &one})
	return err == nil && len(found.Contents) == 0
}

// Put writes an object whole or not at all; S3 itself checks the SHA-256 of what arrives.
func (s *Store) Put(ctx context.Context, key string, content io.ReadSeeker, size int64, sum string) error {
	if s.noWrite.up() {
		return errOff
	}
	ctx, call, err := s.budget.Begin(ctx)
	if err != nil {
		return s.failed(&s.noWrite, "write", key, err)
	}
	defer call.End()
	ctx = v4.SetPayloadHash(ctx, sum)
	_, err = s.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: &watched{content, call}, ContentLength: &size,
	})
	if err != nil {
		return s.failed(&s.noWrite, "write", key, err)
	}
	s.story.written.Add(size)
	return nil
}

// Copy copies an object inside the bucket, without its bytes coming here.
func (s *Store) Copy(ctx context.Context, from, to string, size int64) error {
	if s.noWrite.up() {
		return errOff
	}
	ctx, call, err := s.budget.Begin(ctx)
	if err != nil {
		return s.failed(&s.noWrite, "copy", from, err)
	}
	defer call.End()
	call.moved.Add(size)
	source := url.PathEscape(s.bucket) + "/" + (&url.URL{Path: from}).EscapedPath()
	_, err = s.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &s.bucket, Key: &to, CopySource: &source})
	if err != nil {
		return s.failed(&s.noWrite, "copy", from, err)
	}
	return nil
}

// failed tells an absent object from a failure. A failure is told once and lowers the flag of its kind; when S3 cannot
// be reached, that of every kind.
func (s *Store) failed(kind *flag, verb, key string, err error) error {
	if errors.Is(err, context.Canceled) && !s.budget.Spent() {
		return err // the client has gone, or we are ending
	}
	reason := reasonOf(err)
	if s.budget.Spent() {
		reason = reasonSlow
	}
	if reason == reasonNone {
		return errAbsent
	}
	if kind.raise() {
		s.log.Say("S3 failed", "verb", verb, "key", key, "error", err.Error())
	}
	if reason == reasonSlow || reason == reasonUnreachable || reason == reasonNoKeys || reason == reasonNoBucket {
		s.noReads.raise()
		s.noWrite.raise()
	}
	s.story.Blame(reason)
	return fmt.Errorf("%w: %w", errOff, err)
}

// reasonOf puts an error of S3 into words that a person can act on; none for an object that is not there.
func reasonOf(err error) Reason {
	if errors.Is(err, errOutOfPatience) {
		return reasonSlow
	}
	var api smithy.APIError
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	status := 0
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.Response != nil {
		status = response.HTTPStatusCode()
	}
	switch {
	case code == "NoSuchBucket":
		return reasonNoBucket
	case code == "NoSuchKey" || status == http.StatusNotFound:
		return reasonNone
	// Before the statuses: Ceph and versitygw say 403 to what is above a quota.
	case strings.Contains(code, "Quota") || strings.Contains(code, "Full") || code == "InsufficientStorage" ||
		status == http.StatusInsufficientStorage:
		return reasonFull
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return reasonForbidden
	case status != 0:
		return reasonFailed
	case strings.Contains(err.Error(), "failed to retrieve credentials") || strings.Contains(err.Error(), "get identity"):
		return reasonNoKeys
	}
	return reasonUnreachable
}

// body is an object on its way here.
type body struct {
	io.ReadCloser
	call  *Call
	store *Store
	key   string
}

func (b *body) Read(into []byte) (int, error) {
	count, err := b.ReadCloser.Read(into)
	b.call.Moved(count)
	b.store.story.read.Add(int64(count))
	if err != nil && err != io.EOF {
		err = b.store.failed(&b.store.noReads, "read", b.key, err)
	}
	return count, err
}

func (b *body) Close() error {
	defer b.call.End()
	return b.ReadCloser.Close()
}

// watched is an object on its way to S3.
type watched struct {
	io.ReadSeeker
	call *Call
}

func (w *watched) Read(into []byte) (int, error) {
	count, err := w.ReadSeeker.Read(into)
	w.call.Moved(count)
	return count, err
}
