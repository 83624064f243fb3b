{{- define "pellucid.environment" -}}
- name: PELLUCID_CONFIG
  value: /etc/pellucid/settings/settings.yaml
{{- /* The image says these two in its environment, which wins over the file. */}}
- name: PELLUCID_HOST
  value: {{ dig "host" "0.0.0.0" .Values.settings | quote }}
- name: PELLUCID_MODEL_REPOSITORY
  value: {{ .Values.models.path }}
- name: HOME
  value: /tmp
{{- with .Values.postgresql.existingSecret }}
- name: PELLUCID_EVALUATIONS__STORE
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.postgresql.key }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "pellucid.resources" -}}
{{- $resources := deepCopy .Values.resources -}}
{{- if .Values.gpu.enabled -}}
{{- $resources = mustMergeOverwrite $resources (dict "limits" (dict .Values.gpu.resource .Values.gpu.count)) -}}
{{- end -}}
{{ toYaml $resources }}
{{- end -}}

{{/* With TLS the kubelet cannot speak gRPC: it would need certificates. */}}
{{- define "pellucid.readinessAction" -}}
{{- if .Values.tls.enabled -}}
httpGet:
  path: /readyz
  port: metrics
{{- else -}}
grpc:
  port: 8001
{{- end -}}
{{- end -}}

{{- define "pellucid.probes" -}}
{{- with .Values.probes.startup }}
startupProbe:
  {{- include "pellucid.readinessAction" $ | nindent 2 }}
  periodSeconds: {{ .periodSeconds }}
  timeoutSeconds: {{ .timeoutSeconds }}
  failureThreshold: {{ divf .seconds .periodSeconds | ceil }}
{{- end }}
{{- with .Values.probes.readiness }}
readinessProbe:
  {{- include "pellucid.readinessAction" $ | nindent 2 }}
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.probes.liveness }}
livenessProbe:
  httpGet:
    path: /livez
    port: metrics
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "pellucid.modelsInitContainer" -}}
{{- with .Values.models.initContainer -}}
- name: models
  image: {{ .image }}
  {{- with .command }}
  command: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .args }}
  args: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .env }}
  env: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .envFrom }}
  envFrom: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext: {{- toYaml $.Values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: {{ $.Values.models.path }}
    - name: tmp
      mountPath: /tmp
{{- end }}
{{- end -}}
