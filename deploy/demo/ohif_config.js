// The viewer of the demo profile: OHIF before the demo archive, both on one origin (ohif_nginx.conf).
window.config = {
  routerBasename: '/',
  extensions: [],
  modes: [],
  customizationService: [
    {
      // Numbers of the SR that have no drawing of their own are shown all the same.
      onBeforeSRAddMeasurement: {
        $set: ({ measurement }) => {
          if (!measurement.coords || !measurement.coords.length) {
            measurement.coords = [{}];
          }
          return measurement;
        },
      },
    },
  ],
  showStudyList: true,
  maxNumberOfWebWorkers: 2,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: true,
  showLoadingIndicator: true,
  strictZSpacingForVolumeViewport: true,
  investigationalUseDialog: { option: 'always' },
  defaultDataSourceName: 'orthanc',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'orthanc',
      configuration: {
        friendlyName: 'Demo archive',
        name: 'orthanc',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        wadoUriRoot: '/dicom-web',
        qidoSupportsIncludeField: false,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true },
        omitQuotationForMultipartRequest: true,
      },
    },
  ],
  hotkeys: [],
};
