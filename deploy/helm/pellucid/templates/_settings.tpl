{{/* The settings file: what the chart suggests, then `settings`, then what the chart decides. */}}
{{- define "pellucid.settings" -}}
{{- $suggested := include "pellucid.suggestedSettings" . | fromYaml -}}
{{- $decided := include "pellucid.decidedSettings" . | fromYaml -}}
{{- mustMergeOverwrite $suggested (deepCopy .Values.settings) $decided | toYaml -}}
{{- end -}}

{{- define "pellucid.suggestedSettings" -}}
{{- with include "pellucid.cpuRequest" . }}
threads: {{ include "pellucid.cores" . }}
{{- end }}
{{- if .Values.gpu.enabled }}
devices: {{ toJson .Values.gpu.devices }}
{{- end }}
datasets:
  spool_bytes: {{ div (include "pellucid.bytes" .Values.tmpSizeLimit) 2 }}
uploads:
  quota_bytes: {{ div (mul (include "pellucid.stateBytes" .) 4) 5 }}
{{- end -}}

{{- define "pellucid.decidedSettings" -}}
port: 8001
metrics_port: 8002
model_repository: {{ .Values.models.path }}
state: /var/lib/pellucid
{{- if .Values.modelCache.enabled }}
model_cache: /var/cache/pellucid
{{- end }}
{{- if or .Values.auth.tokens.existingSecret .Values.auth.policy }}
auth:
  {{- if .Values.auth.tokens.existingSecret }}
  tokens: /etc/pellucid/tokens/{{ .Values.auth.tokens.key }}
  {{- end }}
  {{- if .Values.auth.policy }}
  policy: /etc/pellucid/settings/policy.yaml
  {{- end }}
{{- end }}
{{- if .Values.tls.enabled }}
tls:
  certificate: /etc/pellucid/tls/tls.crt
  key: /etc/pellucid/tls/tls.key
  {{- if .Values.tls.clientCA.existingSecret }}
  client_ca: /etc/pellucid/client-ca/{{ .Values.tls.clientCA.key }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "pellucid.stateBytes" -}}
{{- $state := .Values.state -}}
{{ include "pellucid.bytes" (ternary $state.persistence.size $state.sizeLimit $state.persistence.enabled) }}
{{- end -}}
