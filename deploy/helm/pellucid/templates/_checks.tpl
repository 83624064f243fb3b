{{/* What the schema cannot say: values that do not fit together, all of them at once. */}}
{{- define "pellucid.checks" -}}
{{- $problems := concat
  (include "pellucid.stateProblems" . | fromYamlArray)
  (include "pellucid.drainProblems" . | fromYamlArray)
  (include "pellucid.settingsProblems" . | fromYamlArray)
  (include "pellucid.modelsProblems" . | fromYamlArray)
  (include "pellucid.tlsProblems" . | fromYamlArray)
  (include "pellucid.scalingProblems" . | fromYamlArray)
-}}
{{- if $problems -}}
{{- fail (printf "these values cannot be used:\n- %s\n" (join "\n- " $problems)) -}}
{{- end -}}
{{- end -}}

{{- define "pellucid.stateProblems" -}}
{{- $most := include "pellucid.mostReplicas" . | int -}}
{{- $state := .Values.state -}}
{{- if and $state.perReplica $state.persistence.enabled }}
- "state.perReplica keeps the state in each pod, state.persistence in one claim: switch one of them off"
{{- else if and (gt $most 1) (not $state.perReplica) (not (include "pellucid.stateIsShared" .)) }}
- "{{ $most }} replicas must share evaluations and uploads: set postgresql.existingSecret, and state.persistence.enabled with accessModes [ReadWriteMany]; or, where nobody evaluates, state.perReplica=true"
{{- end }}
{{- end -}}

{{- define "pellucid.drainProblems" -}}
{{- $drain := include "pellucid.drainSeconds" . | int -}}
{{- $needed := add (include "pellucid.leaveSeconds" .) 5 | int -}}
{{- if lt (include "pellucid.gracePeriod" . | int) $needed }}
- "terminationGracePeriodSeconds={{ .Values.terminationGracePeriodSeconds }} would kill calls: it must be at least preStopSeconds + settings.drain_delay_seconds + settings.drain_seconds + 5 = {{ $needed }}, or none"
{{- end }}
{{- with dig "connection_seconds" 0 .Values.settings }}
{{- if ge (float64 .) (float64 $drain) }}
- "settings.connection_seconds={{ . }} must be below settings.drain_seconds={{ $drain }}, so that clients move before a server goes"
{{- end }}
{{- end }}
{{- end -}}

{{- define "pellucid.settingsProblems" -}}
{{- range $name, $instead := dict
  "port" "service.port is what clients see"
  "metrics_port" "service.metricsPort is what Prometheus sees"
  "model_repository" "set models.path"
  "state" "set state.persistence"
  "model_cache" "set modelCache.enabled"
  "tls" "set tls.enabled"
}}
{{- if hasKey $.Values.settings $name }}
- "settings.{{ $name }} is the chart's: {{ $instead }}"
{{- end }}
{{- end }}
{{- range $name, $instead := dict
  "tokens" "set auth.tokens.existingSecret"
  "policy" "set auth.policy"
}}
{{- if hasKey (dig "auth" (dict) $.Values.settings) $name }}
- "settings.auth.{{ $name }} is the chart's: {{ $instead }}"
{{- end }}
{{- end }}
{{- if dig "evaluations" "store" "" .Values.settings }}
- "settings.evaluations.store would stand in a ConfigMap: put the URL into a Secret and name it in postgresql.existingSecret"
{{- end }}
{{- end -}}

{{- define "pellucid.modelsProblems" -}}
{{- with .Values.models }}
{{- $field := get (dict "persistentVolumeClaim" "claimName" "imageVolume" "reference" "initContainer" "image") .source }}
{{- if and $field (not (dig .source $field "" .)) }}
- "models.source={{ .source }} needs models.{{ .source }}.{{ $field }}"
{{- end }}
{{- if and (eq .source "imageVolume") (semverCompare "<1.33.0-0" $.Capabilities.KubeVersion.Version) }}
- "models.source=imageVolume needs Kubernetes 1.33, this is {{ $.Capabilities.KubeVersion.Version }}: use initContainer"
{{- end }}
{{- end }}
{{- end -}}

{{- define "pellucid.tlsProblems" -}}
{{- with .Values.tls }}
{{- if and .enabled (not .existingSecret) (not .certManager.enabled) }}
- "tls.enabled needs a certificate: set tls.existingSecret, or tls.certManager.enabled with an issuerRef"
{{- end }}
{{- if and .existingSecret .certManager.enabled }}
- "tls.existingSecret and tls.certManager.enabled exclude each other: one of them brings the certificate"
{{- end }}
{{- if and .certManager.enabled (not .certManager.issuerRef.name) }}
- "tls.certManager.enabled needs tls.certManager.issuerRef.name"
{{- end }}
{{- if and (not .enabled) (or .existingSecret .certManager.enabled .clientCA.existingSecret) }}
- "certificates are named, but nothing is encrypted: set tls.enabled=true"
{{- end }}
{{- if and $.Values.test.token.existingSecret (not .enabled) }}
- "test.token is sent over TLS only: set tls.enabled=true, or test.enabled=false"
{{- end }}
{{- if and (include "pellucid.asksForTokens" $) $.Values.test.enabled (not $.Values.test.token.existingSecret) }}
- "every call needs a token, helm test too: set test.token.existingSecret, or test.enabled=false"
{{- end }}
{{- if and .clientCA.existingSecret $.Values.test.enabled (not $.Values.test.clientCertificateSecret) }}
- "tls.clientCA asks every client for a certificate, helm test too: set test.clientCertificateSecret, or test.enabled=false"
{{- end }}
{{- end }}
{{- end -}}

{{- define "pellucid.asksForTokens" -}}
{{- $byToken := or .Values.auth.tokens.existingSecret (dig "auth" "oidc" "issuer" "" .Values.settings) -}}
{{- if and $byToken (not (dig "auth" "anonymous" false .Values.settings)) -}}true{{- end -}}
{{- end -}}

{{- define "pellucid.scalingProblems" -}}
{{- with .Values.autoscaling }}
{{- if and (ne .kind "none") (gt (int .minReplicas) (int .maxReplicas)) }}
- "autoscaling.minReplicas={{ .minReplicas }} is above autoscaling.maxReplicas={{ .maxReplicas }}"
{{- end }}
{{- if and (eq .kind "hpa") (not (include "pellucid.cpuRequest" $)) }}
- "autoscaling.kind=hpa measures CPU against what was asked for: set resources.requests.cpu"
{{- end }}
{{- if and (eq .kind "keda") (not .keda.serverAddress) }}
- "autoscaling.kind=keda needs Prometheus: set autoscaling.keda.serverAddress"
{{- end }}
{{- $longest := dig "limits" "wait_seconds" 0.5 $.Values.settings }}
{{- if and (eq .kind "keda") (not .keda.query) $longest (ge (float64 .keda.threshold) (float64 $longest)) }}
- "autoscaling.keda.threshold={{ .keda.threshold }} is never passed: calls are refused at settings.limits.wait_seconds={{ $longest }}"
{{- end }}
{{- end }}
{{- end -}}
