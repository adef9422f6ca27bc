package operator

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// UnderlayKey is the entry of the agents' Secret that has their key.
const UnderlayKey = "key"

// underlayKeyBytes is what fabric/underlay asks for at least.
const underlayKeyBytes = 32

// underlay sees to it that agents share a key: it makes a Secret of random bytes
// if there is none. The right to create it is all that it needs.
type underlay struct {
	client          client.Client
	namespace, name string
	log             func(text string, err error)
}

// Start implements manager.Runnable. It tries until the Secret is there.
func (u *underlay) Start(ctx context.Context) error {
	persist(ctx, u.ensure, func(err error) { u.log("agents have no key in common", err) })
	return nil
}

// persist tries, with pauses, until something is done or ctx ends.
func persist(ctx context.Context, try func(context.Context) error, failed func(error)) {
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		failed(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryKeys):
		}
	}
}

// ensure makes the Secret if it is not there. Who comes second keeps the first's.
func (u *underlay) ensure(ctx context.Context) error {
	key := make([]byte, underlayKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: u.name, Labels: managedBy},
		Immutable:  pointer(true),
		Data:       map[string][]byte{UnderlayKey: key},
	}
	if err := u.client.Create(ctx, s); err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("make the Secret %s/%s: %w", u.namespace, u.name, err)
	}
	return nil
}
